// Sums of usage, of as many pages as there are up to a bound; and the days and amounts that a chart shows.
import * as api from "../../api.js";

const MOST_PAGES = 20; // of 5,000 runs each
const SUMS = ["runs", "model_calls", "input_tokens", "output_tokens"];
const DAY = 86_400_000; // ms

/** Return {groups: [{name, runs, model_calls, input_tokens, output_tokens, usd}], unpriced, last_id if there is more}. */
export async function sums(groupBy, query, isAdmin) {
  const groups = new Map();
  const unpriced = new Set();
  let page = null;
  for (let number = 0; number < MOST_PAGES && (page === null || page.has_more); number += 1) {
    const period = page ? { from: page.from, to: page.to, after: page.last_id } : query;
    page = await api.usage({ ...query, ...period, group_by: groupBy }, isAdmin);
    page.data.forEach((each) => add(groups, each[groupBy], each));
    page.unpriced_models.forEach((each) => unpriced.add(each));
  }
  return { groups: [...groups.values()], unpriced: [...unpriced], last: page.has_more ? page.last_id : null };
}

function add(groups, name, entry) {
  const before = groups.get(name) ?? { name, usd: 0, ...Object.fromEntries(SUMS.map((each) => [each, 0])) };
  const summed = Object.fromEntries(SUMS.map((each) => [each, before[each] + entry[each]]));
  const usd = before.usd === null || entry.usd === null ? null : before.usd + entry.usd;
  groups.set(name, { name, ...summed, usd });
}

/** Return the sum of all groups. */
export function total(groups) {
  const all = new Map();
  groups.forEach((each) => add(all, "", each));
  return all.get("") ?? { runs: 0, model_calls: 0, input_tokens: 0, output_tokens: 0, usd: 0 };
}

const dayText = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 10);
export const daysAgo = (days) => dayText(Date.now() - days * DAY);

/** Return a group for each day from `from` to `to` (2026-11-27), with zeros where nothing was. */
export function everyDay(groups, from, to) {
  const known = new Map(groups.map((each) => [each.name, each]));
  const found = [];
  for (let at = Date.parse(from); at <= Date.parse(to) && found.length < 400; at += DAY) {
    found.push(known.get(dayText(at)) ?? { ...total([]), name: dayText(at) });
  }
  return found;
}

export const MEASURES = {
  usd: (group) => group.usd ?? 0,
  tokens: (group) => group.input_tokens + group.output_tokens,
  runs: (group) => group.runs,
};

/** Return about four round numbers from 0 to at least `most`. */
export function ticks(most, isWhole) {
  const rough = (most || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max([1, 2, 2.5, 5, 10].find((each) => each * power >= rough) * power, isWhole ? 1 : 0);
  const round = isWhole ? Math.ceil(step) : step;
  return Array.from({ length: Math.max(1, Math.ceil((most || 1) / round)) + 1 }, (_, index) => index * round);
}
