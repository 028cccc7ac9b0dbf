// Where the agents of an agency stand, and how the flows between them run.
import { Graph, layout } from "@dagrejs/dagre";
import { widthOf } from "../svg_text.js";

const ROWS = 5; // tools that are shown of an agent, and a line for the others
const HEAD = 46;
const ROW = 19;
const MARGIN = 10;
const START = 20; // beside an entry point, for its mark
const GUTTER = 34; // beside agents that stand in columns, for the flows to them
const BUS = 16; // above them
const SMALL = 0.8; // a graph that has to be drawn smaller than this is arranged in columns
const SMALLEST = 0.68; // smaller than this it is not drawn; it scrolls in its box

/**
 * Return `{left, top, width, height, scale, nodes, edges}`, fit for a box of this width.
 *
 * Agents that one colleague asks and that ask nobody are in one row; if that is too wide in columns, fewer and fewer;
 * if a single column still is, all agents are below each other.
 */
export function arrange(agency, boxWidth) {
  let made;
  for (const columns of [0, 5, 4, 3, 2, 1]) {
    made = draw(agency, columns);
    if (made.width * SMALL <= boxWidth) break;
  }
  const chained = made.width * SMALL > boxWidth ? draw(agency, 1, made.nodes) : made;
  if (chained.width < made.width) made = chained;
  return { ...made, scale: Math.max(SMALLEST, Math.min(1, boxWidth / made.width)) };
}

/** `below`: nodes that are to stand below each other, in the order of their places. */
function draw(agency, columns, below = []) {
  const sizes = new Map(agency.agents.map((agent) => [agent.name, size(agent, agency.entry_points.includes(agent.name))]));
  const blocks = columns ? blocksOf(agency, sizes, columns) : [];
  const blockOf = new Map(blocks.flatMap((block) => block.cells.map(({ name }) => [name, block])));
  const graph = new Graph().setGraph({ nodesep: 26, ranksep: 46 });
  for (const [name, box] of sizes) if (!blockOf.has(name)) graph.setNode(name, framed(box));
  for (const { id, width, height } of blocks) graph.setNode(id, { width, height });
  const flows = agency.flows.filter(({ from, to }) => sizes.has(from) && sizes.has(to) && from !== to);
  for (const { from, to } of flows.toReversed()) graph.setEdge(from, blockOf.get(to)?.id ?? to, {});
  const inOrder = below.toSorted((one, other) => one.y - other.y || one.x - other.x);
  const chain = [...new Set(inOrder.map(({ agent: { name } }) => blockOf.get(name)?.id ?? name))];
  chain.slice(1).forEach((id, index) => graph.setEdge(chain[index], id, {}));
  layout(graph);
  const places = new Map([...sizes].map(([name, box]) => [name, placed({ name, ...box }, graph, blockOf.get(name))]));
  const edges = flows.map((flow) => routed(flow, places, graph, blockOf.get(flow.to)));
  const nodes = agency.agents.map((agent) => ({ agent, ...places.get(agent.name) }));
  return { ...bounds(nodes, edges), nodes, edges };
}

function size(agent, isEntry) {
  const rows = Math.min(agent.tools.length, ROWS + 1);
  const texts = [widthOf(agent.name, "600 13") + 44, ...agent.tools.map((tool) => widthOf(tool, "400 11") + 52)];
  const width = Math.round(Math.max(138, Math.min(196, Math.max(...texts))));
  return { width, height: HEAD + (rows ? rows * ROW + 8 : 0), isEntry, head: HEAD, row: ROW };
}

const framed = ({ width, height, isEntry }) => ({ width: width + (isEntry ? 2 * START : 0), height });

/** Return `{id, width, height, cells}` of each group of agents that stand in columns. */
function blocksOf({ agents, flows, entry_points: entries }, sizes, columns) {
  const groups = new Map();
  for (const { name } of agents) {
    const senders = flows.filter(({ to }) => to === name).map(({ from }) => from);
    if (senders.length !== 1 || entries.includes(name) || flows.some(({ from }) => from === name)) continue;
    groups.set(senders[0], [...(groups.get(senders[0]) ?? []), name]);
  }
  const large = [...groups].filter(([, names]) => names.length > Math.max(2, columns));
  return large.map(([sender, names]) => ({ id: `\u0000${sender}`, ...columned(names, sizes, columns) }));
}

function columned(names, sizes, columns) {
  const perColumn = Math.ceil(names.length / columns);
  const widest = Math.max(...names.map((name) => sizes.get(name).width));
  const bottoms = Array(columns).fill(BUS);
  const cells = names.map((name, index) => {
    const column = Math.floor(index / perColumn);
    const cell = { name, x: GUTTER + column * (widest + GUTTER), y: bottoms[column] };
    bottoms[column] += sizes.get(name).height + 14;
    return cell;
  });
  const used = Math.ceil(names.length / perColumn);
  return { width: used * (widest + GUTTER), height: Math.max(...bottoms) - 14, cells };
}

function placed({ name, ...box }, graph, block) {
  if (!block) {
    const { x, y } = graph.node(name);
    return { ...box, x: x - box.width / 2, y: y - box.height / 2 };
  }
  const [cell, frame] = [block.cells.find((each) => each.name === name), graph.node(block.id)];
  return { ...box, x: frame.x - block.width / 2 + cell.x, y: frame.y - block.height / 2 + cell.y };
}

/** Return a flow's path, its points, and where its count is written. */
function routed({ from, to }, places, graph, block) {
  const { points } = graph.edge(from, block?.id ?? to);
  const [sender, recipient] = [places.get(from), places.get(to)];
  const inner = points.slice(1, -1);
  const start = onEdge(sender, inner[0]);
  if (!block) return { from, to, ...smooth([start, ...inner, onEdge(recipient, inner.at(-1))]) };
  const frame = graph.node(block.id);
  const top = { x: points.at(-1).x, y: frame.y - frame.height / 2 };
  const [across, down] = [recipient.x - GUTTER + 10, recipient.y + 22];
  const { path } = smooth([start, ...inner, top]);
  const bend = `V${down - 8}Q${across},${down} ${across + 8},${down}H${recipient.x}`;
  return { from, to, path: `${path}H${across}${bend}`, points: [start, top, { x: across, y: down }], x: recipient.x - 16, y: down + 13 };
}

/** Return where the line from a box's middle to a point leaves the box. */
function onEdge({ x, y, width, height }, point) {
  const [cx, cy] = [x + width / 2, y + height / 2];
  const [dx, dy] = [point.x - cx, point.y - cy];
  if (!dx && !dy) return { x: cx, y: y + height };
  const share = Math.min(width / 2 / Math.abs(dx || 1e-9), height / 2 / Math.abs(dy || 1e-9), 1);
  return { x: cx + dx * share, y: cy + dy * share };
}

/** Return a smooth path through points, and its middle. */
function smooth(points) {
  const [first, ...rest] = points;
  let path = `M${round(first.x)},${round(first.y)}`;
  rest.forEach((point, index) => {
    const after = rest[index + 1];
    if (!after) path += `L${round(point.x)},${round(point.y)}`;
    else path += `Q${round(point.x)},${round(point.y)} ${round((point.x + after.x) / 2)},${round((point.y + after.y) / 2)}`;
  });
  const middle = points[Math.floor(points.length / 2)];
  return { path, points, x: middle.x, y: middle.y };
}

const round = (value) => Math.round(value * 10) / 10;

/** Return the place that everything takes; dagre leads some flows around its own frame. */
function bounds(nodes, edges) {
  const across = edges.flatMap(({ points }) => points.map(({ x }) => x));
  const down = edges.flatMap(({ points }) => points.map(({ y }) => y));
  const left = Math.min(...nodes.map(({ x, isEntry }) => x - (isEntry ? START : 0)), ...across) - MARGIN;
  const top = Math.min(...nodes.map(({ y }) => y), ...down) - MARGIN;
  const right = Math.max(...nodes.map(({ x, width }) => x + width), ...across) + MARGIN;
  const bottom = Math.max(...nodes.map(({ y, height }) => y + height), ...down) + MARGIN;
  return { left, top, width: right - left, height: bottom - top };
}

/** Return the tools that are shown: those at work or used first, as many as there is place for; and how many are not. */
export function shownTools(agent, light) {
  if (agent.tools.length <= ROWS + 1) return { tools: agent.tools, more: 0 };
  const used = (tool) => light?.tools.get(tool) ?? { open: 0, waits: 0, count: 0 };
  const weight = (tool) => (used(tool).open + used(tool).waits ? 2 : 0) + (used(tool).count ? 1 : 0);
  const first = agent.tools.toSorted((one, other) => weight(other) - weight(one)).slice(0, ROWS);
  return { tools: agent.tools.filter((tool) => first.includes(tool)), more: agent.tools.length - ROWS };
}
