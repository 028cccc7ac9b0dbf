// The timeline as a drawing: lanes below each other on one axis, of which a part is seen.
import { clockTime, duration } from "../../format.js";
import { html, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../../preact.js";
import { t } from "../../words.js";
import { axisOf, merged, ticksOf } from "./axis.js";
import { Lanes } from "./lanes.js";

const LABEL = 21; // of a lane, above its rows
const ROW = 20;
const AXIS = 26;
const PAD = 10; // at both sides
const HOUR = 3600; // later times are those of the clock
const MOST = 4000; // times that a part may be shown larger

/** Return where each lane stands, and the height of all. */
function stacked({ lanes, marks }) {
  const places = new Map();
  let top = marks.some((mark) => !mark.runId) ? 18 : 4; // the marks' words are above the lanes
  for (const lane of lanes) {
    const [first, height] = [top + LABEL, LABEL + lane.rows * ROW + 6];
    places.set(lane, { top, height, row: (row) => first + row * ROW });
    top += height;
  }
  return { places, height: top + 4 };
}

export function Chart({ timeline, selected, onSelect, onHover }) {
  const box = useRef(null);
  const [seen, setSeen] = useState({ width: 0, left: 0, top: 0, height: 600 });
  const [zoom, setZoom] = useZoom(box, seen);
  const [chosen, setChosen] = useState(null); // [x, x] while a part is being chosen
  const id = useId();
  useViewport(box, setSeen);
  const axis = useMemo(() => axisOf(timeline), [timeline]);
  const stack = useMemo(() => stacked(timeline), [timeline]);
  const inner = Math.max(1, seen.width - 2 * PAD);
  const [left, right] = [seen.left / (inner * zoom), (seen.left + inner) / (inner * zoom)];
  const toX = (time) => PAD + (axis.at(time) - left) * inner * zoom;
  const groups = seen.width ? groupsOf(timeline, stack, seen, toX) : [];
  const drag = useDrag({ chosen, setChosen, setZoom, zoom, inner });
  const move = useArrowKeys({ timeline, groups, axis, box, inner, zoom, onHover });
  return html`
    <div class="tl-tools" role="toolbar" aria-label=${t("timeline.zoom")}>
      <button aria-label=${t("timeline.zoomIn")} onClick=${() => setZoom(zoom * 2)} disabled=${zoom >= MOST}>+</button>
      <button aria-label=${t("timeline.zoomOut")} onClick=${() => setZoom(zoom / 2)} disabled=${zoom <= 1}>−</button>
      <button onClick=${() => setZoom(1)} disabled=${zoom <= 1}>${t("timeline.all")}</button>
    </div>
    <div class="tl-scroll" ref=${box}>
      <div class="tl-wide">
        <svg class="tl-axis" width=${seen.width} height=${AXIS} aria-hidden="true" ...${drag}>
          ${seen.width > 0 && html`<${Axis} ...${{ axis, left, right, seen, toX }} />`}
          ${chosen && html`<rect class="tl-chosen" x=${Math.min(...chosen)} width=${Math.abs(chosen[1] - chosen[0])} height=${AXIS} />`}
        </svg>
        <svg class="tl-body" width=${seen.width} height=${stack.height} role="group" aria-label=${t("timeline.chart")} onKeyDown=${move}>
          ${seen.width > 0 && html`<${Lanes} ...${{ timeline, stack, axis, seen, toX, id, groups, selected, onSelect, onHover }} />`}
        </svg>
      </div>
    </div>`;
}

/** Keep what is seen of the box: its size and how far it is scrolled. */
function useViewport(box, setSeen) {
  useEffect(() => {
    const { current } = box;
    const look = () =>
      setSeen({ width: current.clientWidth, left: current.scrollLeft, top: current.scrollTop, height: current.clientHeight });
    const sizes = new ResizeObserver(look);
    sizes.observe(current);
    current.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      current.removeEventListener("scroll", look);
    };
  }, []);
}

/** How many times larger than all of it the axis is; what is in the middle, or at `focus`, stays where it is. */
function useZoom(box, seen) {
  const [{ zoom, left }, setState] = useState({ zoom: 1, left: 0 });
  const inner = Math.max(1, seen.width - 2 * PAD);
  const setZoom = (wanted, focus = inner / 2) => {
    const next = Math.max(1, Math.min(MOST, wanted));
    setState((before) => {
      const place = (box.current.scrollLeft + focus) / (inner * before.zoom);
      return { zoom: next, left: place * inner * next - focus };
    });
  };
  useLayoutEffect(() => {
    box.current.querySelector(".tl-wide").style.width = `${zoom > 1 ? inner * zoom + 2 * PAD : seen.width}px`;
    if (box.current.scrollLeft !== left) box.current.scrollLeft = left;
  }, [zoom, left]);
  useLayoutEffect(() => {
    box.current.querySelector(".tl-wide").style.width = `${zoom > 1 ? inner * zoom + 2 * PAD : seen.width}px`;
  }, [seen.width]);
  useEffect(() => {
    const { current } = box;
    const wheel = (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      setZoom(zoom * Math.exp(-event.deltaY / 300), event.clientX - current.getBoundingClientRect().left - PAD);
    };
    current.addEventListener("wheel", wheel, { passive: false });
    return () => current.removeEventListener("wheel", wheel);
  });
  return [zoom, setZoom];
}

/** Choose a part of the axis to see it larger. */
function useDrag({ chosen, setChosen, setZoom, zoom, inner }) {
  const xOf = (event) => event.clientX - event.currentTarget.getBoundingClientRect().left;
  return {
    onPointerDown: (event) => {
      event.currentTarget.setPointerCapture(event.pointerId);
      setChosen([xOf(event), xOf(event)]);
    },
    onPointerMove: (event) => chosen && setChosen([chosen[0], xOf(event)]),
    onPointerUp: () => {
      setChosen(null);
      const wide = chosen ? Math.abs(chosen[1] - chosen[0]) : 0;
      if (wide < 6) return;
      const middle = (chosen[0] + chosen[1]) / 2 - PAD;
      const factor = inner / wide;
      setZoom(zoom * factor, (middle * factor - inner / 2) / (factor - 1));
    },
    onPointerCancel: () => setChosen(null),
  };
}

/** Return what is drawn of the bars: those that are seen, tiny ones together. */
function groupsOf(timeline, { places }, seen, toX) {
  const rows = new Map();
  const isSeen = (place) => place.top + place.height >= seen.top - 200 && place.top <= seen.top + seen.height + 200;
  const bars = timeline.bars.filter((bar) => isSeen(places.get(bar.lane))).sort((one, other) => one.from - other.from);
  for (const bar of bars) {
    if (toX(bar.to) < -20 || toX(bar.from) > seen.width + 20) continue;
    const row = rows.get(bar.lane) ?? rows.set(bar.lane, []).get(bar.lane);
    (row[bar.row] ??= []).push(bar);
  }
  return [...rows].flatMap(([lane, each]) =>
    each.flatMap((row, index) => merged(row ?? [], toX).map((group) => ({ ...group, lane, y: places.get(lane).row(index) }))),
  );
}

/** Arrow keys: the call before or after in the lane, or the nearest one of the lane above or below. */
function useArrowKeys({ timeline, groups, axis, box, inner, zoom, onHover }) {
  const wanted = useRef(null);
  useEffect(() => {
    if (wanted.current === null) return;
    const found = groups.find((group) => group.bars.some((bar) => bar.id === wanted.current));
    if (!found) return;
    wanted.current = null;
    box.current.querySelector(`[data-bar="${found.bars[0].id}"]`)?.focus();
  });
  return (event) => {
    const bar = timeline.bars.find((each) => each.id === event.target.dataset?.bar);
    const next = bar && neighbour(timeline, groups, bar, event.key);
    if (!next) return;
    event.preventDefault();
    wanted.current = next.id;
    onHover(next);
    const x = axis.at(next.from) * inner * zoom;
    if (zoom > 1 && (x < box.current.scrollLeft || x > box.current.scrollLeft + inner)) box.current.scrollLeft = x - inner / 3;
  };
}

function neighbour({ bars, lanes }, groups, bar, key) {
  const inLane = (lane) => bars.filter((each) => each.lane === lane).sort((one, other) => one.from - other.from);
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const group = groups.find((each) => each.bars.includes(bar))?.bars ?? [bar];
    const own = inLane(bar.lane);
    return key === "ArrowLeft" ? own[own.indexOf(group[0]) - 1] : own[own.indexOf(group.at(-1)) + 1];
  }
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  const index = lanes.indexOf(bar.lane);
  const others = key === "ArrowUp" ? lanes.slice(0, index).reverse() : lanes.slice(index + 1);
  const lane = others.find((each) => inLane(each).length);
  const distance = (each) => Math.abs(each.from - bar.from);
  return lane ? inLane(lane).reduce((best, each) => (distance(each) < distance(best) ? each : best)) : null;
}

function tickText(seconds, start) {
  if (seconds >= HOUR) return clockTime(start + seconds);
  return seconds ? duration(seconds) : "0";
}

function Axis({ axis, left, right, seen, toX }) {
  const ticks = ticksOf(axis, left, right, Math.max(2, seen.width / 110));
  const start = axis.segments[0].from;
  const folds = axis.segments.filter((each) => each.isFolded).map((each) => toX(each.from));
  let last = -Infinity;
  const shown = ticks.filter((seconds) => {
    const x = toX(start + seconds);
    if (x - last < 70 || x > seen.width - 48 || folds.some((fold) => x < fold && x > fold - 40)) return false;
    last = x;
    return true;
  });
  return html`
    ${shown.map((seconds) => html`<g key=${seconds} transform="translate(${toX(start + seconds)},0)">
      <path class="tl-tick" d="M0.5,20v6" /><text class="tl-time" x="3" y="15">${tickText(seconds, start)}</text>
    </g>`)}
    ${axis.segments.filter((each) => each.isFolded).map((each) => {
      const [from, to] = [toX(each.from), toX(each.to)];
      return html`<g key=${each.from}><rect class="tl-fold" x=${from} width=${to - from} height=${AXIS} />
        <text class="tl-time" x=${(from + to) / 2} y="15" text-anchor="middle">${duration(each.to - each.from)}</text></g>`;
    })}`;
}
