import { relative, time } from "../format.js";
import { html, useLayoutEffect, useRef } from "../preact.js";
import { t } from "../words.js";
import { Arguments, LongText } from "./arguments.js";

/**
 * What became of something that a person was asked, by whom and when. decision: of an entry of GET /v1/approvals, or a
 * call's approval in a trace. isFresh: made just now, so that it is read out and takes the focus.
 */
export function Decided({ status, decision, isFresh }) {
  const { decided_by: by, decided_at: at, reason, arguments: changed } = decision ?? {};
  const line = useRef(null);
  useLayoutEffect(() => {
    if (isFresh) line.current.focus({ preventScroll: true });
  }, []);
  return html`
    <p class="decided" data-status=${status} ref=${line} tabindex="-1" role=${isFresh ? "status" : undefined}>
      <strong>${t(`lists.${status}`)}</strong>
      ${by && html` <span>${t("lists.decidedBy", { who: by })}</span>`}
      ${at && html` <span title=${time(at)}>${relative(at)}</span>`}
    </p>
    ${reason && html`<${LongText} text=${reason} />`}
    ${changed && html`<p class="muted">${t("lists.changedTo")}</p><${Arguments} value=${changed} />`}
  `;
}
