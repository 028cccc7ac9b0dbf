// Numbers, prices and times as the reader's language writes them.
import { language, t } from "./words.js";

const number = new Intl.NumberFormat(language);
const times = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const days = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });

export const count = (value) => (value === null || value === undefined ? "–" : number.format(value));
/** Unix seconds, in the reader's time zone. */
export const time = (seconds) => (seconds ? times.format(seconds * 1000) : "–");
export const clockTime = (seconds) => (seconds ? clock.format(seconds * 1000) : "–");
const hours = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const dates = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
/** Unix seconds as 13:05 if that is today, else with the day. */
export function shortTime(seconds) {
  const isToday = new Date(seconds * 1000).toDateString() === new Date().toDateString();
  return (isToday ? hours : dates).format(seconds * 1000);
}
/** A day as `2026-11-27`, which is one of UTC. */
export const day = (text) => days.format(new Date(`${text}T00:00:00Z`));
const shortDays = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });
export const shortDay = (text) => shortDays.format(new Date(`${text}T00:00:00Z`));

/** US dollars; small amounts with the digits that matter. */
export function money(usd) {
  if (usd === null || usd === undefined) return t("app.unknownPrice");
  const digits = usd === 0 || usd >= 1 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(usd)));
  const style = { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language, style).format(usd);
}

const amounts = new Intl.NumberFormat(language, { style: "currency", currency: "USD", maximumSignificantDigits: 3, minimumFractionDigits: 0 });
/** US dollars of an axis. */
export const plainMoney = (usd) => amounts.format(usd);

/** A duration in seconds, as 85 ms, 3.2 s, 4 min 10 s, 2 h 5 min or 3 d 4 h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(seconds)} s`;
  const [large, small, size] = [
    ["min", "s", 60],
    ["h", "min", 3600],
    ["d", "h", 86_400],
  ].findLast(([, , each]) => seconds >= each);
  const rest = Math.floor((seconds % size) / (size / (size === 86_400 ? 24 : 60)));
  return `${Math.floor(seconds / size)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

/** How long runs took, one after the other, in the whole seconds that their clock has; of one that goes on, until `now`. */
export function took(runs, now = NaN) {
  const seconds = runs.reduce((sum, run) => sum + Math.max(0, (run.ended_at ?? now) - run.created_at), 0);
  return seconds < 1 ? "< 1 s" : duration(Math.floor(seconds));
}

const spans = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** Unix seconds as "5 minutes ago" or "in 3 days", from now. */
export function relative(seconds, now = Date.now() / 1000) {
  const distance = seconds - now;
  const [unit, size] = UNITS.find(([, each]) => Math.abs(distance) >= each) ?? ["second", 1];
  return unit === "second" ? spans.format(0, "minute") : spans.format(Math.round(distance / size), unit);
}
