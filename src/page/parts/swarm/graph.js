// An agency as a graph: agents are boxes that can be pressed, flows are arrows.
import { clipped, reading, widthOf } from "../svg_text.js";
import { useWidth } from "../width.js";
import { html, useId, useMemo } from "../../preact.js";
import { t } from "../../words.js";
import { arrange, shownTools } from "./layout.js";
import { flowKey } from "./lights.js";

/** Return what an agent does now, in words. */
export function stateText(light) {
  if (!light || light.state === "idle") return t("swarm.idle");
  if (light.state === "works" && light.doing) return t("swarm.uses", { tool: light.doing });
  return t(`swarm.${light.state}`, { name: light.doing ?? "" });
}

export function Graph({ agency, lights, selected, onSelect }) {
  const [box, width] = useWidth({ step: 20 });
  const id = useId();
  const drawing = useMemo(() => width && agency.agents.length && arrange(agency, width), [agency, width]);
  return html`<div class="swarm-box" ref=${box}>
    ${drawing ? html`<${Drawing} ...${{ agency, drawing, lights, selected, onSelect, id }} />` : null}
  </div>`;
}

function Drawing({ agency, drawing, lights, selected, onSelect, id }) {
  const { left, top, width, height, scale, nodes, edges } = drawing;
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  return html`
    <svg class="swarm-graph" viewBox="${left} ${top} ${width} ${height}" ...${size} role="group"
      aria-label=${t("swarm.graph", { name: agency.name })}>
      <defs>
        ${["idle", "done", "open", "failed", "stopped"].map((kind) => html`<${Arrow} id=${`${id}-${kind}`} kind=${kind} />`)}
      </defs>
      <g aria-hidden="true">
        ${edges.map((edge) => html`<${Flow} key=${flowKey(edge.from, edge.to)} ...${{ edge, lights, id }} />`)}
      </g>
      ${nodes.map(
        (node) => html`<${Node} key=${node.agent.name} ...${{ node, light: lights.agents.get(node.agent.name), onSelect }}
          isSelected=${selected === node.agent.name} />`,
      )}
    </svg>`;
}

const Arrow = ({ id, kind }) => html`
  <marker id=${id} class="swarm-arrow" data-kind=${kind} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
    markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.5L8,4L0,7.5Z" /></marker>`;

function Flow({ edge, lights, id }) {
  const flow = lights.flows.get(flowKey(edge.from, edge.to));
  const kind = !flow ? "idle" : flow.open ? "open" : flow.failed ? "failed" : flow.stopped ? "stopped" : "done";
  const text = flow && `${flow.open ? "✉ " : ""}${flow.count}×`;
  const wide = text && widthOf(text, "600 10") + 12;
  return html`<g class="swarm-flow" data-kind=${kind} data-from=${edge.from} data-to=${edge.to}>
    <path class="swarm-line" d=${edge.path} marker-end="url(#${id}-${kind})" />
    ${flow?.open ? html`<path class="swarm-message" d=${edge.path} />` : null}
    ${text &&
    html`<g transform="translate(${edge.x},${edge.y})">
      <rect x=${-wide / 2} y="-8.5" width=${wide} height="17" rx="8.5" /><text y="3.5" text-anchor="middle">${text}</text>
    </g>`}
  </g>`;
}

function Node({ node, light, isSelected, onSelect }) {
  const { agent, isEntry, x, y, width, height } = node;
  const press = (event) => {
    if (event.type === "keydown" && !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    onSelect(agent.name);
  };
  const state = light?.state ?? "idle";
  const label = [agent.name, isEntry && t("swarm.entry"), stateText(light)].filter(Boolean).join(", ");
  return html`
    <g class="swarm-node" data-state=${state} data-agent=${agent.name} transform="translate(${x},${y})">
      <g aria-hidden="true">
      ${isEntry && html`<path class="swarm-start" d="M-17,22H-3m-4,-3.5l4,3.5l-4,3.5" /><circle class="swarm-start" cx="-16" cy="22" r="2.5" />`}
      <rect class="swarm-face" width=${width} height=${height} rx="9" />
      <${Mark} state=${state} />
      <${Words} class="swarm-name" text=${agent.name} x="29" y="20" width=${width - 38} font="600 13" />
      <${Words} class="swarm-state" text=${subtitle(node, light)} x="29" y="36" width=${width - 38} font="400 11" />
      <${Tools} ...${{ node, light }} />
      </g>
      <rect class="swarm-ring" x="-4" y="-4" width=${width + 8} height=${height + 8} rx="13" role="button" tabindex="0"
        aria-label=${label} aria-pressed=${isSelected ? "true" : "false"} onClick=${press} onKeyDown=${press}>
        <title>${label}</title>
      </rect>
    </g>`;
}

const Words = ({ text, width, font, ...rest }) => {
  const shown = clipped(text, width, font);
  return html`<text ...${rest} ...${reading(shown)}>${shown}</text>`;
};

function subtitle({ agent, isEntry }, light) {
  if (light && light.state === "done") return t("swarm.askedTimes", { count: light.asked });
  if (light?.state === "person") return t("app.waitsPerson"); // its tool is marked below
  if (light && light.state !== "idle") return stateText(light);
  if (isEntry) return t("swarm.entry");
  if (!agent.tools.length) return t("swarm.noTools");
  return agent.tools.length === 1 ? t("swarm.oneTool") : t("swarm.toolCount", { count: agent.tools.length });
}

const MARKS = {
  idle: "",
  done: "M-3.5,0.2L-1,2.8L3.8,-2.6",
  stopped: "M-2.6,-2.6H2.6V2.6H-2.6Z",
  failed: "M-3,-3L3,3M3,-3L-3,3",
  asks: "M-3.5,0H3M0.4,-2.8L3.4,0L0.4,2.8",
  works: "M-2.2,-3.4L3.6,0L-2.2,3.4Z",
  person: "M0,-3.8V0.8M0,3.2V3.6",
};

/** A state's sign, which says by its form what the colour repeats. */
export const Mark = ({ state }) => html`
  <g class="swarm-mark" transform="translate(16,22)"><circle r="7.5" /><path d=${MARKS[state]} /></g>`;

function Tools({ node, light }) {
  const { agent, head, row, width } = node;
  const { tools, more } = shownTools(agent, light);
  const place = (index) => head + 4 + index * row;
  if (!tools.length) return null;
  return html`
    <path class="swarm-rule" d="M0,${head}H${width}" />
    ${tools.map((tool, index) => html`<${Tool} key=${tool} ...${{ tool, use: light?.tools.get(tool), width }} y=${place(index)} />`)}
    ${more ? html`<text class="swarm-more" x="29" y=${place(tools.length) + 13}>${t("swarm.moreTools", { count: more })}</text>` : null}`;
}

function Tool({ tool, use, y, width }) {
  const kind = !use ? "idle" : use.waits ? "person" : use.open ? "works" : use.failed ? "failed" : use.stopped ? "stopped" : "done";
  const times = use ? `${use.count}×` : "";
  return html`<g class="swarm-tool" data-state=${kind} data-tool=${tool} transform="translate(0,${y})">
    <rect x="5" width=${width - 10} height="18" rx="5" />
    <path class="swarm-bolt" d="M13,6.5h6v5h-6z" />
    <${Words} text=${tool} x="29" y="13" width=${width - 40 - (times ? widthOf(times, "600 10") + 4 : 0)} font="400 11" />
    ${times && html`<text class="swarm-times" x=${width - 11} y="13" text-anchor="end">${times}</text>`}
  </g>`;
}
