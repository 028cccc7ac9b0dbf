// What each agent, tool and flow of an agency is doing, made of the items of an answer or of a trace. Pure.
//
// {agents: Map(name -> {state, doing, asked, modelCalls, tokens, usd, tools: Map(name -> {count, open, waits, failed})}),
//  flows: Map(flowKey -> {count, open, failed}), isLive}
// state: idle, done, stopped, failed, asks (waits for the colleagues `doing`), works (with the tool `doing`, or thinks),
// person.
import { isUnfinished } from "../../answer.js";
import { HANDOFF } from "../../items.js";

const ORDER = ["idle", "done", "stopped", "failed", "asks", "works", "person"];
const ENDS = { failed: "failed", incomplete: "stopped", cancelled: "stopped" };

export const flowKey = (from, to) => JSON.stringify([from, to]);
export const noLights = () => ({ agents: new Map(), flows: new Map(), isLive: false });

/** Return the light of an agent; it is made if there is none. */
export function lightOf(lights, name) {
  const fresh = { state: "idle", doing: null, asked: 0, modelCalls: 0, tokens: 0, usd: 0, tools: new Map() };
  if (!lights.agents.has(name)) lights.agents.set(name, fresh);
  return lights.agents.get(name);
}

function raise(lights, name, state, doing = null) {
  const light = lightOf(lights, name);
  if (ORDER.indexOf(state) > ORDER.indexOf(light.state)) Object.assign(light, { state, doing });
}

function countTool(lights, agent, tool, { open = false, waits = false, end = "done" }) {
  const { tools } = lightOf(lights, agent);
  const before = tools.get(tool) ?? { count: 0, open: 0, waits: 0, failed: 0, stopped: 0 };
  tools.set(tool, {
    count: before.count + 1,
    open: before.open + open,
    waits: before.waits + waits,
    failed: before.failed + (end === "failed"),
    stopped: before.stopped + (end === "stopped"),
  });
}

function countFlow(lights, from, to, { open, end }) {
  const before = lights.flows.get(flowKey(from, to)) ?? { count: 0, open: 0, failed: 0, stopped: 0 };
  lights.flows.set(flowKey(from, to), {
    count: before.count + 1,
    open: before.open + open,
    failed: before.failed + (end === "failed"),
    stopped: before.stopped + (end === "stopped"),
  });
}

/** Return the agent that a handoff's tool leads to, as `transfer_to_Partner`, or null. */
function heir(tool, names) {
  if (!tool?.startsWith(HANDOFF)) return null;
  const plain = (name) => name.replace(/[^\p{L}\p{N}]+/gu, "_").toLowerCase();
  return names.find((name) => plain(name) === plain(tool.slice(HANDOFF.length))) ?? null;
}

/** Return the lights of an answer: what answer.js makes of events. `addressed`: the agent that was asked. */
export function ofAnswer(answer, agency, addressed = agency.entry_points[0]) {
  const lights = noLights();
  if (!answer || answer.status === null) return lights;
  lights.isLive = isUnfinished(answer);
  const items = answer.items.filter(Boolean);
  const acts = items.filter((item) => item.type === "reasoning" && item.agent);
  const names = agency.agents.map((agent) => agent.name);
  const speaker = speakerOf(items, names) ?? addressed;
  if (addressed ?? speaker) lightOf(lights, acts[0]?.agent ?? addressed ?? speaker).asked += 1;
  const isAsking = items.at(-1)?.type === "mcp_approval_request";
  for (const act of acts) noteActivity(lights, act, names, isAsking);
  if (lights.isLive) noteWork(lights, acts, speaker, isAsking);
  if (speaker) raise(lights, speaker, ENDS[answer.status] ?? "done");
  noteRequests(lights, items);
  return lights;
}

/** Return the agent that has the word: the addressed one, or who took over from it. */
function speakerOf(items, names) {
  let speaker = null;
  for (const item of items) {
    if (item.type === "message" && item.agent) speaker = item.agent;
    if (item.type === "reasoning" && item.agent && !item.parent) speaker = heir(item.tool, names) ?? item.agent;
  }
  return speaker;
}

/** `isAsking`: what has not ended was not stopped, but waits for a decision. */
function noteActivity(lights, { agent, tool, recipient, status }, names, isAsking) {
  const waits = isAsking && status === "incomplete";
  const open = waits || (lights.isLive && status === "in_progress");
  const end = open || status === "completed" ? "done" : (ENDS[status] ?? "stopped");
  const target = recipient ?? heir(tool, names);
  if (waits && recipient) raise(lights, agent, "asks", recipient);
  else raise(lights, agent, "done");
  if (!target) return tool && countTool(lights, agent, tool, { open, end });
  countFlow(lights, agent, target, { open, end });
  lightOf(lights, target).asked += 1;
  raise(lights, target, end);
}

const all = (names) => [...new Set(names)].join(", ");

/** Mark who works: the speaker, and the recipient of each message on its way. */
function noteWork(lights, acts, speaker, isAsking) {
  const open = acts.filter(({ status }) => status === "in_progress" || (isAsking && status === "incomplete"));
  const places = [{ id: null, agent: speaker }, ...open.map((act) => ({ id: act.id, agent: act.recipient }))];
  for (const { id, agent } of places.filter((place) => place.agent)) {
    const within = open.filter((act) => (act.parent ?? null) === id);
    const asked = within.filter((act) => act.recipient).map((act) => act.recipient);
    const tool = within.find((act) => !act.recipient);
    if (asked.length && !tool) raise(lights, agent, "asks", all(asked));
    else raise(lights, agent, "works", tool?.tool ?? null);
  }
  for (const act of open) if (!act.recipient) raise(lights, act.agent, "works", act.tool);
}

/** A request is open while its call is, or while it is among the last things that were said. */
function noteRequests(lights, items) {
  const last = items.findLastIndex((item) => item.type !== "mcp_approval_request");
  items.forEach((item, index) => {
    if (item.type !== "mcp_approval_request" || !item.agent || index < last) return;
    raise(lights, item.agent, "person", item.name);
    const tool = lightOf(lights, item.agent).tools.get(item.name);
    if (tool?.waits < tool?.count) tool.waits += 1;
    else countTool(lights, item.agent, item.name, { waits: true });
  });
}

/** Return the lights of a trace, with tokens and costs of each agent's own model calls. */
export function ofTrace(trace, agency) {
  const lights = noLights();
  lights.isLive = isUnfinished(trace);
  const names = agency?.agents.map((agent) => agent.name) ?? [];
  if (trace.root) visit(lights, trace.root, names);
  if (trace.root?.name && ENDS[trace.status]) raise(lights, trace.root.name, ENDS[trace.status]);
  return lights;
}

function visit(lights, node, names) {
  const waits = asksPerson(node);
  const open = lights.isLive ? isOnItsWay(node) : waits;
  const end = (!waits && ENDS[node.status]) || "done";
  if (node.type === "agent" && node.name) noteAgent(lights, node, { open, end });
  if (node.type === "model_call") noteCall(lights, node);
  if (node.type === "message") countFlow(lights, node.agent, heir(node.name, names) ?? node.name, { open, end });
  if (node.type === "tool_call") noteTool(lights, node, { open, end });
  for (const child of node.children ?? []) visit(lights, child, names);
}

/** A message that its recipient has answered is open in a trace until its batch is over. */
const isOnItsWay = ({ type, status, children }) =>
  status === "in_progress" && !(type === "message" && children?.length && children.every((child) => child.ended_at));

const asksPerson = (node) =>
  (node.approvals ?? []).some(({ status }) => status === "pending") || (node.children ?? []).some(asksPerson);

function noteAgent(lights, node, { open, end }) {
  lightOf(lights, node.name).asked += 1;
  raise(lights, node.name, end);
  if (!open) return;
  const within = node.children.filter((child) => isOnItsWay(child) || asksPerson(child));
  const asked = within.filter((child) => child.type === "message").map((child) => child.name);
  const other = within.find((child) => child.type !== "message");
  if (asked.length && !other) raise(lights, node.name, "asks", all(asked));
  else raise(lights, node.name, "works", other?.type === "tool_call" ? other.name : null);
}

function noteCall(lights, { agent, input_tokens: input, output_tokens: output, usd }) {
  const light = lightOf(lights, agent);
  light.modelCalls += 1;
  light.tokens += (input ?? 0) + (output ?? 0);
  light.usd = usd === null || light.usd === null ? null : light.usd + (usd ?? 0);
}

function noteTool(lights, node, { open, end }) {
  const waits = (node.approvals ?? []).some(({ status }) => status === "pending");
  countTool(lights, node.agent, node.name, { open, end, waits });
  if (waits) raise(lights, node.agent, "person", node.name);
}
