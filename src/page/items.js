// The items of a response or a conversation, and the ids of runs, as the API has them. Pure.

export const isUser = (item) => item.type === "message" && item.role !== "assistant";
export const partsOf = ({ content }) => (typeof content === "string" ? [{ type: "input_text", text: content }] : content);
/** Return the text of a message's parts. */
export const textOf = (parts) => parts.map((part) => part.text ?? part.refusal ?? "").join("\n").trim();
/** Return what the user has sent to a run, as parts: of its input items. */
export const questionOf = (inputItems) => inputItems.filter(isUser).flatMap(partsOf);

/** The beginning of the name of a tool by which an agent hands over to another, as `transfer_to_Partner`. */
export const HANDOFF = "transfer_to_";

/** Return the Unix second in which a run's id was made: its first 48 bits are milliseconds. */
export const timeOf = (runId) => Number.parseInt(runId.slice(runId.indexOf("_") + 1).slice(0, 12), 16) / 1000;
