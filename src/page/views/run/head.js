// What a run is: status, times, price, why it failed, where it leads, and what can be done with it.
import { isUnfinished } from "../../answer.js";
import * as api from "../../api.js";
import { count, money, time, took } from "../../format.js";
import { Confirm } from "../../parts/dialog.js";
import { LogId } from "../../parts/load.js";
import { Status } from "../../parts/status.js";
import { go, place } from "../../router.js";
import { html, useState } from "../../preact.js";
import { codeText, t } from "../../words.js";
import { asking } from "./model.js";

export function Head({ run, trace, now, heading, isOperator, isOwn, reload }) {
  const asked = isUnfinished(run) && trace?.waits_for !== "person" ? [] : asking(trace);
  const whole = { ...run, waits_for: trace?.waits_for ?? (asked.length ? "person" : null) };
  const spanned = { ...run, ended_at: trace?.ended_at ?? run.completed_at };
  const usage = trace?.usage ?? run.usage;
  const facts = [
    ["began", time(run.created_at)],
    ["took", took([spanned], isUnfinished(run) ? now : NaN)],
    ["attempts", count(trace?.attempts)],
    ["calls", count(usage?.model_calls)],
    ["tokens", usage ? `${count(usage.input_tokens)} + ${count(usage.output_tokens)}` : "–"],
    ["cost", trace ? money(trace.usd) : "–"],
    ...(trace?.owner ? [["owner", trace.owner]] : []),
  ];
  return html`<header class="run-head">
    <div class="run-title">
      <h1 ref=${heading} tabindex="-1" dir="auto">${run.model}</h1><${Status} run=${whole} />
      <${Actions} ...${{ run, isOperator, isOwn, reload }} />
    </div>
    <dl class="tl-facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${t(`timeline.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>
    <${Reason} run=${run} />
    <${Links} run=${run} trace=${trace} />
  </header>`;
}

function Reason({ run }) {
  if (run.error) {
    const code = run.error.detail_code ?? run.error.code;
    const words = codeText(code) ?? run.error.message;
    return html`<p class="problem" role="status"><span><strong>${code}</strong> <span dir="auto">${words}</span></span></p>`;
  }
  if (run.incomplete_details) {
    const reason = run.incomplete_details.detail ?? run.incomplete_details.reason;
    return html`<p class="run-note" role="status">${t("timeline.endedBy")} <strong>${reason}</strong></p>`;
  }
  return null;
}

function Links({ run, trace }) {
  const runs = { continues: trace?.continues, continuedBy: trace?.continued_by, sentBy: run.sent_by, root: run.root_response_id };
  const known = Object.entries(runs).filter(([, id]) => id && id !== run.id);
  return html`<p class="run-links">
    <${LogId} id=${run.id} />
    ${run.conversation && html`<a href=${place(["chat", run.conversation.id])}>${t("timeline.conversation")}</a>`}
    ${known.map(([name, id]) => html`<a key=${name} href=${place(["runs", id])}>${t(`timeline.${name}`)}</a>`)}
  </p>`;
}

function Actions({ run, isOperator, isOwn, reload }) {
  const [asks, setAsks] = useState(null); // cancel, delete
  const cancel = async () => {
    await api.cancelResponse(run.id, isOperator);
    reload();
  };
  const remove = async () => {
    await api.deleteResponse(run.id);
    go(["runs"]);
  };
  const what = { what: run.model };
  const dialogs = {
    cancel: { title: t("lists.cancelTitle", what), text: t("lists.cancelWhy"), action: t("lists.cancelRun"), keep: t("lists.keep") },
    delete: { title: t("timeline.deleteSure", what), action: t("timeline.delete"), keep: t("app.cancel") },
  };
  return html`<span class="run-actions">
    ${isUnfinished(run) && html`<button key="cancel" onClick=${() => setAsks("cancel")}>${t("lists.cancelRun")}</button>`}
    ${isOwn && html`<button key="delete" onClick=${() => setAsks("delete")}>${t("timeline.delete")}</button>`}
    ${asks && html`<${Confirm} key="asks" ...${dialogs[asks]} onConfirm=${asks === "cancel" ? cancel : remove} onClose=${() => setAsks(null)} />`}
  </span>`;
}
