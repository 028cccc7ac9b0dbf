// Time as a place between 0 and 1, with long times in which nothing worked folded. Pure.

const FOLD = 0.035; // of the width, for each fold
const MOST = 8; // folds; shorter gaps stay as they are

/** Return `{segments, at(time)}` of a timeline: segments are `{from, to, left, right, isFolded}`, `at` is a place. */
export function axisOf({ start, end, bars }) {
  const busy = union(bars.map(({ from, to }) => [from, to]));
  const gaps = gapsOf(busy, start, end);
  const worked = end - start - gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  const long = gaps.filter(([from, to]) => to - from > Math.max(2, worked / 2));
  const folded = long.sort((one, other) => other[1] - other[0] - (one[1] - one[0])).slice(0, MOST);
  const segments = segmentsOf(folded.sort((one, other) => one[0] - other[0]), start, end);
  const at = (time) => {
    const segment = segments.find((each) => time <= each.to) ?? segments.at(-1);
    const share = Math.max(0, Math.min(1, (time - segment.from) / (segment.to - segment.from)));
    return segment.left + share * (segment.right - segment.left);
  };
  return { segments, at };
}

export function union(spans) {
  const made = [];
  for (const [from, to] of spans.sort((one, other) => one[0] - other[0])) {
    const last = made.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else made.push([from, to]);
  }
  return made;
}

function gapsOf(busy, start, end) {
  const edges = [start, ...busy.flat(), end];
  const gaps = [];
  for (let index = 0; index < edges.length; index += 2) gaps.push([edges[index], edges[index + 1]]);
  return gaps.filter(([from, to]) => to > from);
}

function segmentsOf(folded, start, end) {
  const plain = end - start - folded.reduce((sum, [from, to]) => sum + to - from, 0);
  const segments = [];
  let [time, left] = [start, 0];
  const add = (to, width, isFolded) => {
    if (to > time) segments.push({ from: time, to, left, right: (left += width), isFolded });
    time = Math.max(time, to);
  };
  const open = 1 - FOLD * folded.length;
  for (const [from, to] of folded) {
    add(from, ((from - time) / plain) * open, false);
    add(to, FOLD, true);
  }
  add(end, ((end - time) / plain) * open, false);
  segments.at(-1).right = 1;
  return segments;
}

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 43_200, 86_400];

/** Return the ticks of the places from `left` to `right`, about `count` of them, in seconds since the start. */
export function ticksOf({ segments }, left, right, count) {
  const seen = segments.filter((each) => !each.isFolded && each.right > left && each.left < right && each.to > each.from);
  return seen.flatMap((segment) => {
    const perPlace = (segment.to - segment.from) / (segment.right - segment.left);
    const step = STEPS.find((each) => each >= (perPlace * (right - left)) / count) ?? 86_400 * 7;
    const start = segments[0].from;
    const shownFrom = segment.from + (Math.max(left, segment.left) - segment.left) * perPlace;
    const shownTo = segment.from + (Math.min(right, segment.right) - segment.left) * perPlace;
    const ticks = [];
    for (let at = Math.ceil((shownFrom - start) / step - 1e-6) * step; start + at <= shownTo; at += step) {
      ticks.push(at);
    }
    return ticks;
  });
}

const isFailed = ({ node }) => ["failed", "incomplete"].includes(node.status);

/** Return bars of one row, those that are closer than a pixel as one: `{bars, x, width, failed}`. `toX`: time -> pixels. */
export function merged(bars, toX) {
  const made = [];
  for (const bar of bars) {
    const x = toX(bar.from);
    const width = Math.max(2.5, toX(bar.to) - x);
    const last = made.at(-1);
    const failed = isFailed(bar);
    if (width <= 4 && last?.isTiny && last.failed === failed && last.width <= 24 && x < last.x + last.width + 0.5) {
      last.bars.push(bar);
      last.width = Math.max(last.width, x + width - last.x);
    } else made.push({ bars: [bar], x, width, isTiny: width <= 4, failed });
  }
  return made;
}
