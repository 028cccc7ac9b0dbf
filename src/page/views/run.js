// #/runs/resp_...: one run, as it goes on or as it was.
import { isUnfinished } from "../answer.js";
import * as api from "../api.js";
import { duration } from "../format.js";
import { partsOf, textOf } from "../items.js";
import { Markdown } from "../markdown.js";
import { ApprovalCards } from "../parts/approval_cards.js";
import { Decided } from "../parts/decided.js";
import { MadeFiles, SentFiles } from "../parts/files.js";
import { Loading, Problem, useLoaded } from "../parts/load.js";
import { useNow } from "../parts/now.js";
import { Swarm } from "../parts/swarm/swarm.js";
import { useTitle } from "../parts/title.js";
import { place } from "../router.js";
import { html, useEffect, useMemo, useRef, useState } from "../preact.js";
import { t } from "../words.js";
import { axisOf } from "./run/axis.js";
import { Chart } from "./run/chart.js";
import { barLabel } from "./run/describe.js";
import { Details } from "./run/details.js";
import { Head } from "./run/head.js";
import { List } from "./run/list.js";
import { asking, closed, listed, timelineOf } from "./run/model.js";
import { onOtherOwner } from "../session.js";

const POLL = 1500; // ms between two looks at a run that goes on
const CALM = 5000; // at one that waits for a person
const TICK = 500; // ms between two pictures of it

export function Run({ steps, agencies, isOperator, approvals }) {
  const id = steps[1];
  const [every, setEvery] = useState(POLL);
  const loaded = useLoaded(() => loadRun(id, isOperator), [id, isOperator], { every });
  const value = loaded.value?.run.id === id ? loaded.value : null;
  useEffect(() => {
    const isAsking = value && (value.trace?.waits_for === "person" || asking(value.trace).length > 0);
    if (value) setEvery(isAsking ? CALM : isUnfinished(value.run) || (value.trace && isUnfinished(value.trace)) ? POLL : 0);
  }, [value]);
  useTitle({ detail: value?.run.model });
  useEffect(() => {
    const heading = document.activeElement?.id === "content" && document.querySelector(".run-head h1");
    if (!heading) return; // the section was shown before it had one
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }, [Boolean(value)]);
  if (!value && loaded.error) return html`<div class="view"><${Missing} error=${loaded.error} again=${loaded.reload} /></div>`;
  if (!value) return html`<${Loading} />`;
  return html`<div class="view run-view" data-run=${id}>
    <nav aria-label=${t("lists.back")}><a href=${place(["runs"])}>← ${t("app.runs")}</a></nav>
    <${Shown} key=${id} ...${{ ...value, agencies, isOperator, approvals, reload: loaded.reload }} />
  </div>`;
}

function Missing({ error, again }) {
  if (error.status === 404) return html`<p class="problem" role="alert">${t("timeline.missing")}</p>`;
  return html`<${Problem} error=${error} again=${again} />`;
}

const foreign = new Set(); // runs of other owners, which are not asked for in vain again
onOtherOwner(() => foreign.clear());

/** Return the run, its trace and its input; of another owner's run an operator is shown the input in the trace only. */
async function loadRun(id, isOperator) {
  const absent = (error) => {
    if (error.status === 404) return null;
    throw error;
  };
  const own = foreign.has(id) ? null : api.response(id).catch(isOperator ? absent : undefined);
  const [mine, trace] = await Promise.all([own, api.trace(id, isOperator).catch(absent)]);
  const run = mine ?? (await api.response(id, true));
  if (!mine) foreign.add(id);
  const input = mine ? await api.inputItems(id).catch(absent) : null;
  return { run, trace: closed(trace), input: input?.data ?? [], isOwn: Boolean(mine) };
}

function Shown({ run, trace, input, isOwn, agencies, isOperator, approvals, reload }) {
  const heading = useRef(null);
  const isAsking = asking(trace).length > 0;
  const now = useNow(isUnfinished(run) || isAsking, TICK);
  const agency = agencies.find(({ name }) => name === run.model.split("/")[0]);
  return html`
    <${Head} ...${{ run, trace, now, heading, isOperator, isOwn, reload }} />
    <${Waiting} ...${{ trace, now, heading, isOperator, approvals, reload }} />
    ${trace
      ? html`<${Steps} trace=${trace} now=${isUnfinished(trace) || isAsking ? now : null} />`
      : html`<p class="run-note">${t("timeline.noTrace")}</p>`}
    <div class="run-below">
      ${agency && trace && html`<section class="card" aria-label=${t("app.swarm")}>
        <h2>${t("app.swarm")}</h2>
        <${Swarm} agency=${agency} trace=${trace} />
      </section>`}
      <${Said} input=${input} output=${run.output} isOwn=${isOwn} />
    </div>
    <${Decisions} trace=${trace} />`;
}

/** What of this run waits for a person: since when, and the cards by which it is decided. */
function Waiting({ trace, now, heading, isOperator, approvals, reload }) {
  const asked = asking(trace);
  const ids = asked.map(({ approval }) => approval.id).join(" ");
  useEffect(() => void (ids && approvals.reload()), [ids]);
  const entries = useMemo(() => approvals.value?.data.filter(({ id }) => ids.includes(id)) ?? [], [approvals.value, ids]);
  return html`
    ${(asked.length > 0 || trace?.waits_for === "person") && html`<p class="run-note" role="status">${t("timeline.waitsForPerson")}
      ${asked.map(
        ({ node, approval }) => html` <code key=${approval.id} dir="auto">${node.name}</code>${" "}
          ${approval.asked_at && duration(Math.floor(now - approval.asked_at))} `,
      )}
      ${entries.length < asked.length && html`<a href=${place(["approvals"])}>${t("timeline.decide")}</a>`}</p>`}
    <${ApprovalCards} ...${{ approvals, entries, isOperator, heading }} onDecided=${reload} />`;
}

/** The timeline or the list, and the call that is pinned. */
function Steps({ trace, now }) {
  const [tab, setTab] = useState("chart");
  const [pinned, setPinned] = useState(null);
  const [hovered, setHovered] = useState(null);
  const timeline = useMemo(() => timelineOf(trace, now ?? 0), [trace, now]);
  const nodes = useMemo(() => new Map(listed(trace.root).map(({ id, node }) => [id, node])), [trace]);
  const select = ({ id }) => setPinned((before) => (before === id ? null : id));
  const [shown, node] = [nodes.get(hovered ?? pinned), nodes.get(pinned)];
  const close = () => {
    const opener = `.run-steps [data-bar="${pinned}"], .run-steps tr[data-selected="true"] button, #tab-${tab}`;
    [...document.querySelectorAll(opener)].at(-1).focus();
    setPinned(null);
  };
  const tabs = ["chart", "list"];
  const row = useRef(null);
  const keys = (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = tabs[1 - tabs.indexOf(tab)];
    setTab(other);
    row.current.children[tabs.indexOf(other)].focus();
  };
  return html`<section class="card run-steps" aria-label=${t("timeline.steps")}>
    <div class="run-tabs" role="tablist" ref=${row} onKeyDown=${keys}>
      ${tabs.map((name) => html`<button key=${name} role="tab" id="tab-${name}" aria-selected=${tab === name ? "true" : "false"}
        aria-controls="steps" tabindex=${tab === name ? 0 : -1} onClick=${() => setTab(name)}>${t(`timeline.tab_${name}`)}</button>`)}
    </div>
    <div role="tabpanel" id="steps" aria-labelledby="tab-${tab}">
      ${tab === "chart"
        ? html`<${Chart} ...${{ timeline, selected: pinned }} onSelect=${select} onHover=${(bar) => setHovered(bar.id)} />
            <p class="tl-info" dir="auto">${shown ? barLabel(shown, now).join(" · ") : t("timeline.hint")}</p>
            <${Legend} timeline=${timeline} />`
        : html`<${List} ...${{ trace, now, selected: pinned }} onSelect=${select} />`}
    </div>
  </section>
  ${node && html`<${Details} node=${node} contents=${trace.contents} now=${now} onClose=${close} />`}`;
}

/** What the forms of the chart mean: those that are in it. */
function Legend({ timeline }) {
  const { bars, waits, marks, messages } = timeline;
  const isFolded = useMemo(() => axisOf(timeline).segments.some((each) => each.isFolded), [timeline]);
  const signs = {
    model_call: bars.some((bar) => bar.kind === "model_call"),
    tool_call: bars.some((bar) => bar.kind === "tool_call"),
    replayed: bars.some((bar) => bar.node.replayed),
    failed:
      bars.some((bar) => ["failed", "incomplete"].includes(bar.node.status)) ||
      messages.some((each) => each.node.status === "failed"),
    agents: messages.length > 0,
    person: waits.some((wait) => wait.kind === "person"),
    queue: waits.some((wait) => wait.kind === "queue" && wait.to - wait.from > 0.05),
    message: messages.length > 0,
    mark: marks.length > 0,
    fold: isFolded,
  };
  const shown = Object.keys(signs).filter((name) => signs[name]);
  return html`<ul class="tl-legend">${shown.map(
    (name) => html`<li key=${name}><span data-sign=${name} aria-hidden="true"></span>${t(`timeline.sign_${name}`)}</li>`,
  )}</ul>`;
}

/** What was asked and answered; files are their owner's alone. */
function Said({ input, output, isOwn }) {
  const said = (items) => items.filter((item) => item.type === "message").map(partsOf).filter((parts) => parts.length);
  const [asked, answered] = [said(input), said(output)];
  if (!asked.length && !answered.length) return null;
  return html`<section class="card run-said" aria-label=${t("timeline.said")}>
    ${asked.length > 0 && html`<h2>${t("timeline.input")}</h2>`}
    ${asked.map((parts, index) => html`<div key=${index}>
      ${textOf(parts) && html`<p class="run-asked" dir="auto">${textOf(parts)}</p>`}<${SentFiles} parts=${parts} />
    </div>`)}
    ${answered.length > 0 && html`<h2>${t("timeline.output")}</h2>`}
    ${answered.map((parts, index) => html`<div key=${`answer ${index}`}>
      <${Markdown} text=${textOf(parts)} />${isOwn && html`<${MadeFiles} parts=${parts} />`}
    </div>`)}
  </section>`;
}

function Decisions({ trace }) {
  const asked = listed(trace?.root).flatMap(({ node }) => (node.approvals ?? []).map((approval) => ({ node, approval })));
  if (!asked.length) return null;
  return html`<section class="card" aria-label=${t("app.approvals")}><h2>${t("app.approvals")}</h2>
    <ul class="run-decisions">${asked.map(
      ({ node, approval }) => html`<li key=${approval.id}>
        <code>${node.name}</code> <span class="muted">${node.agent}</span>
        <${Decided} status=${approval.status} decision=${approval} />
      </li>`,
    )}</ul></section>`;
}
