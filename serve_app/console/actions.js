// What the buttons do, each after a confirmation that says what will happen.

import { ask } from "./api.js";
import { $, duration, percent, write } from "./text.js";
import { nameOf } from "./views.js";

const dialog = $("confirm");
let confirmed = async () => {};

/** Asks whether to do what `question` says; `done` gets the message of what was done. */
function confirm(question, done) {
  write($("confirm-title"), question.title);
  write($("confirm-text"), question.text);
  write($("confirm-yes"), question.yes);
  $("confirm-yes").className = question.danger ? "danger" : "primary";
  $("confirm-error").hidden = true;
  confirmed = async () => {
    $("confirm-yes").disabled = true;
    try {
      await ask(question.path, question.body ?? {});
      dialog.close();
      done(question.done);
    } catch (error) {
      write($("confirm-error"), error.status ? error.message : "The server does not answer. Nothing is known to have changed.");
      $("confirm-error").hidden = false;
    } finally {
      $("confirm-yes").disabled = false;
    }
  };
  dialog.showModal();
  $("confirm-no").focus();
}

$("confirm-no").addEventListener("click", () => dialog.close());
$("confirm-yes").addEventListener("click", () => confirmed());

export function start(version, view, done) {
  const policy = view.status.policy;
  const name = nameOf(version, view);
  confirm({
    title: `Roll out ${name}?`,
    text: `First it encodes a copy of ${percent(policy.shadow_sample_percent)} of requests, which is measured and thrown away. Then it gets ${policy.steps_percent.map(percent).join(", ")} of keys, each for ${duration(policy.dwell_s)} at least and while every gate holds. A breach rolls it back by itself.`,
    yes: "Start rollout",
    path: "admin/rollout/start",
    body: { version },
    done: `The rollout of ${name} has started.`,
  }, done);
}

export function act(action, view, done) {
  const { rollout } = view.status;
  const name = nameOf(rollout.candidate, view);
  const stable = rollout.next.state === "stable";
  const next = stable ? "stable" : percent(rollout.next.percent);
  const questions = {
    advance: {
      title: stable ? `Make ${name} stable?` : `Give ${name} ${next} of keys?`,
      text: "It goes there now, whatever was measured in this state. The gates of the next state hold as well.",
      yes: stable ? "Make stable" : `Advance to ${next}`,
      done: stable ? `${name} is stable.` : `Advanced to ${next}.`,
    },
    pause: {
      title: "Pause the rollout?",
      text: "It stays in its state until it is resumed. A breach of a gate still rolls it back.",
      yes: "Pause",
      done: "Paused.",
    },
    resume: { title: "Resume the rollout?", text: "It goes on as soon as all gates are passed.", yes: "Resume", done: "Resumed." },
    rollback: {
      title: `Roll ${name} back?`,
      text: `${nameOf(rollout.stable, view)} encodes everything again, within a second. Blobs that the candidate wrote stay readable.`,
      yes: "Roll back",
      danger: true,
      done: `${name} was rolled back.`,
    },
  };
  // As it was shown: nothing is changed where it has gone on meanwhile.
  const body = { rollout: rollout.id, round: rollout.round };
  confirm({ ...questions[action], path: `admin/rollout/${action}`, body }, done);
}
