// The lanes of a timeline: what waits, the messages between them, the bars, and the marks over all.
import { count, duration, money } from "../../format.js";
import { clipped, reading } from "../../parts/svg_text.js";
import { html } from "../../preact.js";
import { t } from "../../words.js";
import { barLabel } from "./describe.js";

const BAR = 15;

export function Lanes({ timeline, stack, axis, seen, toX, id, groups, selected, onSelect, onHover }) {
  const { places, height } = stack;
  const isNear = (lane) => {
    const { top, height: tall } = places.get(lane);
    return top + tall >= seen.top - 200 && top <= seen.top + seen.height + 200;
  };
  const lanes = timeline.lanes.filter(isNear);
  const waits = timeline.waits.filter((wait) => isNear(wait.lane));
  const messages = timeline.messages.filter((each) => isNear(each.from) || isNear(each.to));
  const first = groups[0]?.bars[0].id;
  return html`
    <${Patterns} id=${id} />
    <g aria-hidden="true">
      ${lanes.map(
        (lane) => html`<${Lane} key=${lane.key} ...${{ lane, place: places.get(lane), seen }} isOdd=${timeline.lanes.indexOf(lane) % 2} />`,
      )}
      ${axis.segments.filter((each) => each.isFolded).map(
        (each) => html`<rect key=${each.from} class="tl-fold" x=${toX(each.from)} width=${toX(each.to) - toX(each.from)} height=${height}
          fill="url(#${id}-fold)" />`,
      )}
      ${waits.map((wait, index) => html`<${Wait} key=${index} ...${{ wait, toX, seen }} place=${places.get(wait.lane)} />`)}
      ${messages.map((message) => html`<${Message} key=${message.id} ...${{ message, places, toX, id }} />`)}
      ${lanes.map((lane) => html`<${Name} key=${lane.key} ...${{ lane, place: places.get(lane), seen }} />`)}
    </g>
    ${groups.map(
      (group) => html`<${Bar} key=${group.bars[0].id} ...${{ group, id, selected, onSelect, onHover }} now=${timeline.now}
        isFirst=${group.bars[0].id === first} />`,
    )}
    <g aria-hidden="true">
      ${timeline.marks.map((mark, index) => html`<${Mark} key=${index} ...${{ mark, timeline, stack, toX }} />`)}
      ${timeline.now ? html`<path class="tl-now" d="M${toX(timeline.now)},0V${height}" /> ` : null}
    </g>`;
}

const Patterns = ({ id }) => html`<defs>
  <pattern id="${id}-hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
    <rect class="tl-hatch-ground" width="5" height="5" /><path class="tl-hatch" d="M0,0V5" /></pattern>
  <pattern id="${id}-fold" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
    <path class="tl-fold-line" d="M0,0V8" /></pattern>
  <marker id="${id}-arrow" class="tl-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
    markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.5L8,4L0,7.5Z" /></marker>
</defs>`;

function Lane({ lane, place, seen, isOdd }) {
  const x = 10 + lane.depth * 14;
  return html`<g class="tl-lane" data-lane=${lane.name} data-depth=${lane.depth}>
    ${isOdd ? html`<rect class="tl-stripe" y=${place.top} width=${seen.width} height=${place.height} />` : null}
    ${lane.depth > 0 ? html`<path class="tl-branch" d="M${x - 9},${place.top + 4}v7h6" />` : null}
  </g>`;
}

function Name({ lane, place, seen }) {
  const x = 10 + lane.depth * 14;
  const name = clipped(lane.name ?? "", Math.max(60, Math.min(260, seen.width - x - 20)), "600 12");
  const sum = lane.seconds && seen.width > 480 ? `${duration(lane.seconds)} · ${money(lane.usd)}` : null;
  return html`<text class="tl-name" x=${x} y=${place.top + 15} ...${reading(name)}>${name}</text>
    ${sum && html`<text class="tl-name tl-sum" x=${seen.width - 10} y=${place.top + 15} text-anchor="end">${sum}</text>`}`;
}

function Wait({ wait, place, toX, seen }) {
  const y = place.row(wait.row ?? 0) + BAR / 2;
  const [from, to] = [toX(wait.from), toX(wait.to)];
  if (to - from < 1 && wait.kind !== "person") return null;
  const sign = from > seen.width ? from : Math.min(from + 7, seen.width - 9);
  return html`<g class="tl-wait" data-wait=${wait.kind}>
    <path d="M${from},${y}H${Math.max(to, from + 2)}" />
    ${wait.kind === "person" ? html`<circle cx=${sign} cy=${y} r="7" /><text x=${sign} y=${y + 4} text-anchor="middle">!</text>` : null}
    ${wait.kind === "queue" ? html`<circle cx=${from} cy=${y} r="3" />` : null}
  </g>`;
}

function Message({ message, places, toX, id }) {
  const [sender, recipient] = [places.get(message.from), places.get(message.to)];
  const isDown = recipient.top >= sender.top;
  const [start, end] = [sender.row(0) + (isDown ? BAR : 0), recipient.row(0) + (isDown ? 0 : BAR)];
  const [x, back] = [toX(message.at), message.back === null ? null : toX(message.back)];
  const failed = message.node.status === "failed";
  return html`<g class="tl-message" data-failed=${failed}>
    <path d="M${x},${start}V${end}" marker-end="url(#${id}-arrow)" />
    ${back !== null && back - x > 3 ? html`<path class="tl-answer" d="M${back},${end}V${start}" marker-end="url(#${id}-arrow)" />` : null}
    ${failed ? html`<path class="tl-cross" d="M${x - 4},${end - 4}l8,8m0,-8l-8,8" />` : null}
  </g>`;
}

function Bar({ group, id, selected, onSelect, onHover, isFirst, now }) {
  const { bars, x, y, width, failed } = group;
  const [bar] = bars;
  const { node } = bar;
  const isOpen = bars.some((each) => each.node.status === "in_progress");
  const label = bars.length > 1 ? t("timeline.merged", { count: count(bars.length), agent: node.agent }) : barLabel(node, now).join(", ");
  const press = (event) => {
    if (event.type === "keydown" && !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    onSelect(bar);
  };
  const isSelected = bars.some((each) => each.id === selected);
  const name = `${failed ? "✕ " : ""}${node.name ?? ""}`;
  const text = clipped(name, width - 10, "500 10") === name ? name : ""; // a part of a name is not what it is called
  return html`<g class="tl-bar" data-bar=${bar.id} data-kind=${bar.kind} data-failed=${failed} data-open=${isOpen}
    data-replayed=${Boolean(node.replayed)} role="button" tabindex=${isSelected || (isFirst && !selected) ? "0" : "-1"} aria-label=${label}
    aria-pressed=${isSelected ? "true" : "false"} onClick=${press} onKeyDown=${press}
    onFocus=${() => onHover(bar)} onMouseEnter=${() => onHover(bar)}>
    <rect class="tl-focus" x=${x - 2.5} y=${y - 2.5} width=${width + 5} height=${BAR + 5} rx="5" />
    <rect class="tl-face" x=${x} y=${y} width=${width} height=${BAR} rx=${Math.min(3, width / 2)}
      fill=${node.replayed ? `url(#${id}-hatch)` : null} />
    ${text && html`<text aria-hidden="true" class="tl-text" x=${x + 5} y=${y + 11}>${text}</text>`}
    ${failed ? html`<path class="tl-cross" d="M${x + width - 3},${y - 3}l6,6m0,-6l-6,6" />` : null}
  </g>`;
}

function Mark({ mark, timeline, stack, toX }) {
  const own = timeline.lanes.filter((lane) => lane.runId === mark.runId).map((lane) => stack.places.get(lane));
  const [top, bottom] = own.length ? [own[0].top, own.at(-1).top + own.at(-1).height] : [0, stack.height];
  const x = toX(mark.at) - 2;
  const number = mark.number && t("timeline.attemptNumber", { number: mark.number });
  const text = mark.kind === "handover" ? `→ ${mark.name}` : mark.isAsked ? number : `${t("timeline.interrupted")}, ${number}`;
  const [shift, anchor] = x > 100 ? [-4, "end"] : [4, "start"];
  return html`<g class="tl-mark" data-mark=${mark.kind}>
    <path d="M${x},${top}V${bottom}" /><text x=${x + shift} y=${top + 12} text-anchor=${anchor}>${clipped(text, 160, "600 10")}</text>
  </g>`;
}
