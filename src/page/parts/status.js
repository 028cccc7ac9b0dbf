import { html } from "../preact.js";
import { t } from "../words.js";

/** Return the words of a run's status; of one that waits, for what it waits. */
function statusText({ status, waits_for: waitsFor }) {
  if (waitsFor) return t(waitsFor === "person" ? "app.waitsPerson" : "app.waitsAgents");
  return t(status === "failed" ? "app.failedStatus" : `app.${status}`);
}

/** A run's status as a badge, whose colour repeats what it says. */
export function Status({ run }) {
  const kind = run.waits_for || run.status === "asked" ? "waiting" : run.status;
  return html`<span class="status" data-status=${kind}>${statusText(run)}</span>`;
}
