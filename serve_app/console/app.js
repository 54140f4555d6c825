// The console: asks the service again and again, and shows what it answers.

import { act, start } from "./actions.js";
import { ask, key } from "./api.js";
import { $, write } from "./text.js";
import { showCharts, showGates, showHistory, showRollout, showTime, showVersions } from "./views.js";

const EVERY_MS = 1000;
const SLOW_EVERY = 10; // versions and history: after a change of state, or each tenth time
const NOTICE_MS = 6000;

const view = { status: null, recent: null, versions: [], history: [], totals: new Map() };
let count = 0;
let known = "";
let answered = 0;
let timer = 0;
let running = false;
let generation = 0;

function connection(text, kind) {
  write($("connection"), text);
  $("connection").className = `pill ${kind}`;
}

function notice(text, bad = false) {
  write($("notice"), text);
  $("notice").className = bad ? "notice bad" : "notice";
  $("notice").hidden = !text;
  clearTimeout(notice.timer);
  if (text && !bad) notice.timer = setTimeout(() => notice(""), NOTICE_MS);
}

async function load() {
  [view.status, view.recent] = await Promise.all([ask("admin/rollout"), ask("admin/recent")]);
  const { rollout } = view.status;
  const now = rollout ? `${rollout.id} ${rollout.round}` : "none";
  if (now !== known || count % SLOW_EVERY === 0) {
    const [versions, history] = await Promise.all([ask("versions"), ask("admin/rollout/history")]);
    view.versions = versions.versions;
    view.history = history.transitions;
    known = now;
  }
  count += 1;
}

function show() {
  if (!view.status) return;
  showCharts(view, Number(document.querySelector("input[name=minutes]:checked").value));
  showRollout(view);
  showGates(view);
  showHistory(view);
  showVersions(view, (version) => start(version, view, did));
}

function did(text) {
  notice(text);
  tick();
}

/** One round; only one is under way, and one that signing in or out has overtaken shows nothing. */
async function tick() {
  if (running) return;
  running = true;
  clearTimeout(timer);
  const mine = generation;
  try {
    await load();
    if (mine === generation) succeeded();
  } catch (error) {
    if (mine === generation) failed(error);
  } finally {
    running = false;
    if (mine !== generation) tick();
    else if (!$("sign-in").hidden || document.hidden) clearTimeout(timer);
    else timer = setTimeout(tick, EVERY_MS);
  }
}

function succeeded() {
  answered = Date.now() / 1000;
  $("sign-in").hidden = true;
  $("board").hidden = false;
  $("board").classList.remove("stale");
  $("sign-out").hidden = !key.get();
  if ($("notice").classList.contains("bad")) notice("");
  connection("Live", "good");
  showTime(answered, false);
  show();
}

function failed(error) {
  if (error.status === 401 || error.status === 403) {
    signIn(error);
    return;
  }
  $("board").classList.add("stale");
  if (answered) showTime(answered, true);
  connection(error.status ? "Error" : "Offline", "bad");
  notice(error.status ? `The server has a fault: ${error.message}` : "The server does not answer. Trying again.", true);
}

function signIn(error) {
  const presented = key.get();
  key.forget();
  $("board").hidden = true;
  $("sign-out").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-form").hidden = error?.status === 403 && !presented;
  write($("sign-in-why"), presented || error?.status === 403 ? `Refused: ${error.message}.` : "This server asks for an API key.");
  write($("as-of"), "");
  notice("");
  connection("Signed out", "");
  $("key").focus();
}

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = $("key").value.trim();
  $("key").value = "";
  if (!/^[\x21-\x7e]+$/.test(given)) {
    write($("sign-in-why"), "That is no API key: keys are ASCII letters, digits and signs.");
    return;
  }
  key.set(given);
  generation += 1;
  connection("Connecting", "");
  tick();
});

$("sign-out").addEventListener("click", () => {
  generation += 1;
  key.forget();
  Object.assign(view, { status: null, recent: null, versions: [], history: [], totals: new Map() });
  count = 0;
  known = "";
  $("board").hidden = true;
  $("sign-out").hidden = true;
  tick();
});

for (const button of $("actions").children) {
  button.addEventListener("click", () => act(button.dataset.action, view, did));
}
for (const choice of document.querySelectorAll("input[name=minutes]")) choice.addEventListener("change", show);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) tick();
});

write($("server"), location.host);
tick();
