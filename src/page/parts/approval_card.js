// What an agent asks a person: a call to approve, a question, or whether a call is repeated.
import * as api from "../api.js";
import { relative, time } from "../format.js";
import { settings } from "../session.js";
import { html, useId, useLayoutEffect, useRef, useState } from "../preact.js";
import { t } from "../words.js";
import { Change, Failure, TextForm } from "./approval_forms.js";
import { Arguments } from "./arguments.js";
import { Decided } from "./decided.js";

const KINDS = { tool: "lists.asksTool", question: "lists.asksQuestion", repeat: "lists.asksRepeat" };

/**
 * approval: an entry of GET /v1/approvals, decided or not. decide({approve, reason?, arguments?}) returns a promise;
 * of a question `reason` is the answer. level: of the heading. children: shown in the card's foot.
 */
export function ApprovalCard({ approval, decide, level = 3, children }) {
  const id = useId();
  const { decided, error, isBusy, send } = useDecision(approval, decide);
  const shown = decided ?? approval;
  const isOpen = shown.status === "pending";
  const title = approval.kind === "question" ? (approval.arguments.question ?? approval.name) : approval.name;
  return html`
    <article class="approval card" data-status=${shown.status} aria-labelledby="${id}-title" aria-busy=${isBusy}>
      <header>
        <span class="kicker">${t(KINDS[approval.kind] ?? KINDS.tool)}</span>
        <${`h${level}`} id="${id}-title" class=${approval.kind === "question" ? "question" : "tool"} dir="auto">
          ${title}
        <//>
        <${Origin} approval=${approval} isOpen=${isOpen} />
      </header>
      ${approval.kind === "repeat" && html`<p>${t("lists.repeatWhy")}</p>`}
      ${isOpen
        ? html`<${Ask} ...${{ id, approval, error, isBusy, send }} />`
        : html`<${Decided} status=${shown.status} decision=${shown.decision} isFresh=${decided !== null} />`}
      ${children && html`<footer>${children}</footer>`}
    </article>
  `;
}

/** Send one decision, whatever is clicked meanwhile; what somebody else has decided takes its place. */
function useDecision(approval, decide) {
  const [state, setState] = useState({ decided: null, error: null, isBusy: false });
  const isSending = useRef(false);
  const send = async (body) => {
    if (isSending.current) return;
    isSending.current = true;
    setState({ decided: null, error: null, isBusy: true });
    try {
      const answer = await decide(body);
      setState({ decided: answer?.decision ? answer : assumed(approval, body), error: null, isBusy: false });
    } catch (error) {
      const decided = error.status === 409 ? await decisionOf(approval) : null;
      isSending.current = decided !== null;
      setState({ decided, error, isBusy: false });
    }
  };
  return { ...state, send };
}

const assumed = (approval, { approve, reason = null, arguments: changed = null }) => ({
  ...approval,
  status: approve ? "approved" : "refused",
  decision: { approve, reason, arguments: changed, decided_by: null },
});

async function decisionOf(approval) {
  const found = await api.approval(approval.id, { owner: approval.owner }).catch(() => null);
  return found && found.status !== "pending" ? found : null;
}

function Origin({ approval, isOpen }) {
  const { agent, agency, owner, created_at: asked, expires_at: expires } = approval;
  return html`<p class="origin">
    <bdi>${agent}</bdi>
    <span><bdi>${agency}</bdi></span>
    ${owner && settings.auth !== "none" && html`<span>${t("lists.ofOwner")} <bdi>${owner}</bdi></span>`}
    <span title=${time(asked)}>${relative(asked)}</span>
    ${isOpen && html`<span title=${time(expires)}>${t("lists.expires", { when: relative(expires) })}</span>`}
  </p>`;
}

function Ask({ id, approval, error, isBusy, send }) {
  const [mode, setMode] = useState("ask");
  const opener = useRef(null);
  const open = (name) => (event) => {
    opener.current = name;
    setMode(name);
    event.stopPropagation();
  };
  const back = () => setMode("ask");
  const common = { id, approval, error, isBusy, send, back };
  if (mode === "refuse") return html`<${Refusal} ...${common} />`;
  if (mode === "change") return html`<${Change} ...${common} />`;
  const asks = { ...common, open, opened: opener.current };
  return approval.kind === "question" ? html`<${Question} ...${asks} />` : html`<${Call} ...${asks} />`;
}

function Call({ approval, error, isBusy, send, open, opened }) {
  const isRepeat = approval.kind === "repeat";
  return html`
    <${Arguments} value=${approval.arguments} />
    <${Failure} error=${error} />
    <div class="actions">
      <button type="button" class="primary" disabled=${isBusy} onClick=${() => send({ approve: true })}>
        ${t(isRepeat ? "lists.repeat" : "lists.approve")}
      </button>
      ${approval.kind === "tool" &&
      html`<${Opener} name="change" ...${{ opened, open, isBusy }}>${t("lists.change")}<//>`}
      <${Opener} name="refuse" ...${{ opened, open, isBusy }}>${t(isRepeat ? "lists.noRepeat" : "lists.refuse")}<//>
    </div>
  `;
}

/** A button that opens a form in the card, and has the focus again when the form is left. */
function Opener({ name, opened, open, isBusy, children }) {
  const button = useRef(null);
  useLayoutEffect(() => {
    if (opened === name) button.current.focus();
  }, []);
  return html`<button type="button" ref=${button} disabled=${isBusy} onClick=${open(name)}>${children}</button>`;
}

function Question({ id, approval, error, isBusy, send, open, opened }) {
  const { question, choices, ...others } = approval.arguments;
  const hasChoices = Array.isArray(choices) && choices.length > 0;
  const refuse = html`<${Opener} name="refuse" ...${{ opened, open, isBusy }}>${t("lists.noAnswer")}<//>`;
  return html`
    ${Object.keys(others).length > 0 && html`<${Arguments} value=${others} />`}
    ${hasChoices
      ? html`<${Failure} error=${error} />
          <div class="actions" role="group" aria-labelledby="${id}-title">
            ${choices.map(
              (each) => html`<button
                type="button"
                class="choice"
                dir="auto"
                disabled=${isBusy}
                onClick=${() => send({ approve: true, reason: each })}
              >
                ${each}
              </button>`,
            )}
            ${refuse}
          </div>`
      : html`<${TextForm}
          ...${{ id, error, isBusy, isNeeded: true, label: t("lists.answer"), submit: t("lists.sendAnswer") }}
          onText=${(reason) => send({ approve: true, reason })}
        >
          ${refuse}
        <//>`}
  `;
}

function Refusal({ id, approval, error, isBusy, send, back }) {
  const submit = t(approval.kind === "question" ? "lists.noAnswer" : "lists.refuse");
  return html`
    ${approval.kind !== "question" && html`<${Arguments} value=${approval.arguments} />`}
    <${TextForm}
      ...${{ id, error, isBusy, back, submit, isDanger: true, hasFocus: true, label: t("lists.reason") }}
      onText=${(reason) => send(reason.trim() ? { approve: false, reason } : { approve: false })}
    >
      <button type="button" onClick=${back}>${t("lists.back")}</button>
    <//>
  `;
}
