// What a response has said so far, made of its events or of the stored response. Pure: no requests, no page.

const LISTED = { id: null, status: null, items: [], usage: null, error: null, conversation: null };
/** isLost: disconnected. isWaiting: for a person, or agents. before: items to show until the replay has caught up. */
export const NOTHING = { ...LISTED, isLost: false, isWaiting: false, before: null };

/** Return the answer with an event added. */
export function withEvent(answer, event) {
  if (event.type === "waiting") return { ...answer, isWaiting: true };
  return withProgress(answer.isWaiting && !event.resume ? { ...answer, isWaiting: false } : answer, event);
}

function withProgress(answer, event) {
  switch (event.type) {
    case "reset":
      return { ...answer, items: [], before: shown(answer) };
    case "lost":
      return { ...answer, isLost: true };
    case "found":
      return { ...answer, isLost: false };
    case "response.output_item.added":
    case "response.output_item.done":
      return withItem(answer, event.output_index, event.item);
    case "response.output_text.delta":
      return withPart(answer, event, "text", "output_text");
    case "response.refusal.delta":
      return withPart(answer, event, "refusal", "refusal");
    case "response.output_text.annotation.added":
      return withAnnotation(answer, event);
    case "response.reasoning_summary_text.delta":
      return withSummary(answer, event);
    default:
      return event.response ? ofResponse(event.response, answer) : answer;
  }
}

/** Return the answer that a stored response is. */
export function ofResponse(response, before = NOTHING) {
  return {
    ...before,
    id: response.id,
    status: response.status,
    items: !isUnfinished(response) || response.output.length > before.items.length ? response.output : before.items,
    usage: response.usage ?? before.usage,
    error: response.error,
    conversation: response.conversation?.id ?? before.conversation,
  };
}

function withItem(answer, index, item) {
  const items = [...answer.items];
  items[index] = item;
  return { ...answer, items };
}

function changed(answer, event, change) {
  const item = answer.items[event.output_index];
  return item ? withItem(answer, event.output_index, change(item)) : answer;
}

function withPart(answer, event, field, type) {
  return changed(answer, event, (item) => {
    const content = [...(item.content ?? [])];
    const part = content[event.content_index] ?? { type, [field]: "", annotations: [] };
    content[event.content_index] = { ...part, [field]: (part[field] ?? "") + event.delta };
    return { ...item, content };
  });
}

function withAnnotation(answer, event) {
  return changed(answer, event, (item) => {
    const content = [...(item.content ?? [])];
    const part = content[event.content_index] ?? { type: "output_text", text: "" };
    content[event.content_index] = { ...part, annotations: [...(part.annotations ?? []), event.annotation] };
    return { ...item, content };
  });
}

function withSummary(answer, event) {
  return changed(answer, event, (item) => {
    const text = (item.summary?.[0]?.text ?? "") + event.delta;
    return { ...item, summary: [{ type: "summary_text", text }] };
  });
}

/** Return the items to show: those from before a reset, until the replay has caught up with them. */
export function shown(answer) {
  return answer.before && !isOver(answer) && size(answer.items) < size(answer.before) ? answer.before : answer.items;
}

function size(items) {
  const texts = items.flatMap((item) => (item?.content ?? []).map((part) => (part.text ?? part.refusal ?? "").length));
  return texts.reduce((sum, length) => sum + length, items.length);
}

/** Activities: what agents do, each within its `parent`. */
export const activities = (answer) => answer.items.filter((item) => item?.type === "reasoning" && item.agent);
/** Messages of the addressed agent. */
export const messages = (answer) => answer.items.filter((item) => item?.type === "message");
/** What a person is asked. */
export const requests = (answer) => answer.items.filter((item) => item?.type === "mcp_approval_request");
/** Of a response, a trace or a run of a list. */
export const isUnfinished = ({ status }) => status === "in_progress" || status === "queued";
export const isOver = (answer) => answer.status !== null && !isUnfinished(answer);
