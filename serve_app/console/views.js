// What the page shows of the service's answers.

import { Chart } from "./chart.js";
import { $, clock, duration, element, moment, ms, percent, position, ratio, short, sync, syncRows, write } from "./text.js";

const RANK = { stable: 0, other: 1, candidate: 2 };
const VERDICTS = { passed: "passed", breached: "breached", too_little_measured: "measuring" };

/** Which of the page's colours a version has: that of stable, of the candidate, or of the others. */
export function roleOf(version, view) {
  const { rollout, shares } = view.status;
  if (rollout?.active && version === rollout.candidate) return "candidate";
  const stable = rollout?.active ? rollout.stable : shares.find((share) => share.percent > 0)?.version;
  return version === stable ? "stable" : "other";
}

export function nameOf(version, view) {
  const name = view.versions.find((row) => row.id === version)?.name;
  return name ? `${name} (${short(version)})` : short(version);
}

// --- the rollout ---------------------------------------------------------------------------------------------------

export function showRollout(view) {
  const { rollout, follows } = view.status;
  const active = Boolean(rollout?.active);
  const badge = rollout ? position(rollout.state, rollout.percent) : "none";
  write($("state"), active && rollout.paused ? `${badge}, paused` : badge);
  $("state").className = `badge ${rollout?.state ?? ""}${active && rollout.paused ? " paused" : ""}`;
  write($("summary"), summary(view));
  write($("reason"), rollout ? reason(rollout) : "");
  showSteps(rollout);
  showTraffic(view);
  $("actions").hidden = !active || !follows;
  if (!active) return;
  const buttons = Object.fromEntries([...$("actions").children].map((button) => [button.dataset.action, button]));
  buttons.pause.hidden = rollout.paused;
  buttons.resume.hidden = !rollout.paused;
  write(buttons.advance, rollout.next.state === "stable" ? "Make stable" : `Advance to ${percent(rollout.next.percent)}`);
}

function summary(view) {
  const { rollout, follows, shares } = view.status;
  if (!follows) return `This server serves one fixed version, ${nameOf(shares[0].version, view)}, and takes no part in rollouts.`;
  if (!rollout) return `${nameOf(shares[0].version, view)} encodes everything. Start a rollout from the table of versions.`;
  const candidate = nameOf(rollout.candidate, view);
  const stable = nameOf(rollout.stable, view);
  if (rollout.active) return `Candidate ${candidate}, against stable ${stable}`;
  return rollout.state === "stable" ? `${candidate} is stable now, after ${stable}.` : `${candidate} was taken back; ${stable} stays stable.`;
}

function reason(rollout) {
  const since = `Since ${moment(rollout.since)}: ${rollout.reason}.`;
  if (!rollout.active) return since;
  const left = rollout.since + rollout.policy.dwell_s - Date.now() / 1000;
  const waits = [];
  if (rollout.paused) waits.push("paused by hand");
  if (!rollout.ready) waits.push("replicas are loading the candidate");
  if (left > 0) waits.push(`at least ${duration(left)} more in this state`);
  if (rollout.gates.some((gate) => gate.verdict !== "passed")) waits.push("gates have too little measured");
  return `${since} ${waits.length ? `Next step waits: ${waits.join("; ")}.` : "All gates passed: the next step is due."}`;
}

function showSteps(rollout) {
  const places = rollout
    ? [["staged", 0], ...rollout.policy.steps_percent.map((share) => ["canary", share]), ["stable", 100]]
    : [];
  $("steps").hidden = !rollout;
  const failed = rollout?.state === "rolled_back";
  const at = places.findIndex(([state, share]) => state === rollout.state && (state !== "canary" || share === rollout.percent));
  sync($("steps"), places, () => element("li"), (item, [state, share]) => {
    const index = places.findIndex((place) => place[0] === state && place[1] === share);
    item.className = failed ? "lost" : index < at || rollout.state === "stable" ? "done" : index === at ? "current" : "";
    if (index === at) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    write(item, state === "canary" ? percent(share) : state);
  });
}

function showTraffic(view) {
  const shares = view.status.shares.toSorted((a, b) => RANK[roleOf(b.version, view)] - RANK[roleOf(a.version, view)]);
  sync($("traffic"), shares, () => element("span"), (bar, share) => {
    bar.className = roleOf(share.version, view);
    bar.style.flexGrow = share.percent;
    bar.hidden = share.percent === 0;
    write(bar, share.percent >= 5 ? percent(share.percent) : "");
  });
  legend($("traffic-text"), shares, view, (share) => percent(share.percent));
}

function legend(parent, items, view, tell = () => "") {
  sync(parent, items, () => element("span"), (key, item) => {
    key.className = `key ${roleOf(item.version, view)}`;
    write(key, `${nameOf(item.version, view)} ${tell(item)}`.trim());
  });
}

// --- gates, history, versions --------------------------------------------------------------------------------------

export function showGates(view) {
  const gates = view.status.rollout?.gates ?? [];
  $("gates").hidden = gates.length === 0;
  $("gates-empty").hidden = gates.length > 0;
  write($("gates-empty"), view.status.rollout ? "The rollout is over; the history has what was measured." : "No rollout: nothing is judged.");
  const rows = gates.map((gate) => [gate.name, gate.measured, gate.limit, VERDICTS[gate.verdict]]);
  syncRows($("gates").tBodies[0], rows, ["strong", "", "dim", "verdict"]);
  gates.forEach((gate, index) => {
    $("gates").tBodies[0].rows[index].className = gate.verdict;
  });
}

export function showHistory(view) {
  $("history-empty").hidden = view.history.length > 0;
  const make = () => {
    const item = element("li");
    const line = element("p");
    line.append(element("b"), element("time"), element("span", "dim"));
    item.append(line, element("p", "why"), element("p", "dim measured"));
    return item;
  };
  sync($("history"), view.history, make, (item, transition) => {
    const [line, why, measured] = item.children;
    item.className = transition.after.state;
    write(line.children[0], position(transition.after.state, transition.after.percent));
    write(line.children[1], moment(transition.at));
    line.children[1].dateTime = new Date(transition.at * 1000).toISOString();
    write(line.children[2], nameOf(transition.candidate, view));
    write(why, transition.reason);
    write(measured, measurements(transition.measured));
  });
}

function measurements({ stable, candidate, compared_records: compared, ratio_of_stable: against }) {
  if (!compared) return "";
  return `Over ${compared} records ${ratio(against)} of stable's ratio; p95 ${ms(candidate.p95_ms)}, stable ${ms(stable.p95_ms)}; ${candidate.mismatches} of ${candidate.verified} blobs wrong`;
}

export function showVersions(view, start) {
  $("versions-empty").hidden = view.versions.length > 0;
  $("versions").hidden = view.versions.length === 0;
  const { follows, rollout, shares } = view.status;
  const share = (id) => shares.find((found) => found.version === id)?.percent ?? 0;
  const make = () => {
    const row = element("tr");
    for (const name of ["", "", "dim", "dim", "number", "number", "number", "end"]) row.append(element("td", name));
    row.firstElementChild.append(element("b"), element("code"), element("span", "bad"));
    const button = element("button", "small", "Roll out…");
    button.type = "button";
    button.addEventListener("click", () => start(button.dataset.version));
    row.lastElementChild.append(button);
    return row;
  };
  sync($("versions").tBodies[0], view.versions, make, (row, version) => {
    const [name, channels, architecture, made, part, trained, now, action] = row.children;
    write(name.children[0], version.name ?? "");
    write(name.children[1], short(version.id));
    name.children[1].title = version.id;
    write(name.children[2], version.error?.message ?? "");
    sync(channels, version.channels, () => element("span"), (badge, channel) => {
      badge.className = `badge ${channel}`;
      write(badge, channel);
    });
    write(architecture, version.architecture ?? "");
    write(made, version.created_at ? new Date(version.created_at).toLocaleDateString() : "");
    write(part, share(version.id) ? percent(share(version.id)) : "–");
    write(trained, ratio(version.measured?.nbmf?.total_ratio));
    write(now, ratio(view.totals.get(version.id)));
    const button = action.firstElementChild;
    button.dataset.version = version.id;
    button.setAttribute("aria-label", `Roll out ${nameOf(version.id, view)}`);
    button.hidden = !follows || Boolean(rollout?.active) || version.channels.includes("stable") || Boolean(version.error);
  });
}

// --- charts --------------------------------------------------------------------------------------------------------

const brief = (v) => (v < 1000 ? `${Number(v.toPrecision(3))} ms` : `${Number((v / 1000).toPrecision(3))} s`);

const charts = [
  new Chart("Ratio", { format: (v) => `${Number(v.toFixed(2))}×`, axis: "tight", hint: "raw bytes over blob bytes" }),
  new Chart("Latency", { format: brief, axis: "logarithmic", hint: "of a record's encoding: p95, dashed p50" }),
  new Chart("Records a second", { format: (v) => `${Number(v.toPrecision(3))}`, axis: "fromZero", hint: "encoded for requests" }),
];

export function showCharts(view, minutes) {
  if (!$("charts").children.length) $("charts").append(...charts.map((chart) => chart.root));
  const { recent } = view;
  view.totals = new Map();
  const from = -Math.round((minutes * 60) / recent.bucket_s);
  const at = recent.at.slice(from);
  const shown = recent.versions
    .map((series) => ({ ...series, role: roleOf(series.version, view), label: nameOf(series.version, view) }))
    .toSorted((a, b) => RANK[a.role] - RANK[b.role])
    .filter((series) => series.records.slice(from).some(Boolean) || series.copies.slice(from).some(Boolean));
  for (const series of shown) {
    const sum = (values) => values.slice(from).reduce((total, value) => total + value, 0);
    if (sum(series.blob_bytes)) view.totals.set(series.version, sum(series.payload_bytes) / sum(series.blob_bytes));
  }
  const line = (series, values, dashed = false, suffix = "") => ({
    label: `${series.label}${suffix}`, role: series.role, dashed, values: values.slice(from),
  });
  charts[0].update(at, shown.map((series) => line(series, series.ratio)));
  charts[1].update(at, shown.flatMap((series) => [
    line(series, series.p95_ms, false, " p95"), line(series, series.p50_ms, true, " p50"),
  ]));
  charts[2].update(at, shown.map((series) => line(series, series.records.map((records) => records / recent.bucket_s))));
  legend($("charts-key"), shown, view);
  showFits(recent.fits.filter((fit) => fit.mismatch), view);
}

function showFits(fits, view) {
  $("fits").hidden = fits.length === 0;
  sync($("fits"), fits, () => element("li"), (item, fit) => {
    const bits = `${fit.bits_per_byte.toFixed(2)} bits a byte, ${fit.expected_bits_per_byte.toFixed(2)} in training`;
    write(item, `Since ${moment(fit.since)} ${fit.kind} records do not fit ${nameOf(fit.version, view)}: ${bits}. ${fit.advice}`);
  });
}

export function showTime(seconds, stale) {
  write($("as-of"), stale ? `As of ${clock(seconds)}; the server does not answer` : `As of ${clock(seconds)}`);
}
