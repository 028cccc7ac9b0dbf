// What a call of a trace is, in words.
import { clockTime, count, duration, money } from "../../format.js";
import { t } from "../../words.js";

export const kindText = (node) => t(`timeline.${node.type}`);

export const tookText = ({ started_at: from, ended_at: to }, now) =>
  from ? duration((to ?? now ?? NaN) - from) : "–";

export const tokensText = ({ input_tokens: input, output_tokens: output }) =>
  input || output ? `${count(input)} + ${count(output)}` : "–";

/** The price of a model's call; of one that was cut off nobody knows it. */
export const costText = (node) =>
  node.type === "model_call" && (node.status === "completed" || node.input_tokens) ? money(node.usd) : null;

/** Return one line about a call: what, whose, when, how long, what it took, and whose attempt. */
export function barLabel(node, now) {
  return [
    `${kindText(node)} ${node.name ?? ""}`.trim(),
    node.agent,
    clockTime(node.started_at),
    tookText(node, now),
    node.input_tokens || node.output_tokens ? t("timeline.tokensOf", { tokens: tokensText(node) }) : null,
    costText(node),
    node.attempt > 1 ? t("timeline.attemptNumber", { number: node.attempt }) : null,
    node.replayed ? t("timeline.replayed") : null,
    node.status === "completed" ? null : t(`timeline.is_${node.status}`),
  ].filter(Boolean);
}
