import { count, day, money, plainMoney, shortDay, time } from "../format.js";
import { timeOf } from "../items.js";
import { BarChart, Share } from "../parts/bars.js";
import { Loading, Problem, useLoaded } from "../parts/load.js";
import { Owners } from "../parts/owners.js";
import { go, place } from "../router.js";
import { settings } from "../session.js";
import { html, useState } from "../preact.js";
import { t } from "../words.js";
import { Budget } from "./usage/budget.js";
import { daysAgo, everyDay, MEASURES, sums, ticks, total } from "./usage/sums.js";

const PERIODS = [7, 30, 90];

export function Usage({ query, isOperator }) {
  const given = Object.fromEntries(query);
  const isAdmin = isOperator && settings.auth !== "none" && (given.scope === "all" || Boolean(given.owner));
  const owner = settings.auth === "none" ? "local" : given.owner;
  const period = { from: given.from || daysAgo((Number(given.days) || 30) - 1), to: given.to || daysAgo(0) };
  const names = ["day", "agency", "model", ...(isAdmin && !given.owner ? ["owner"] : [])];
  const asked = { ...period, owner: isAdmin ? given.owner : undefined };
  const load = () => Promise.all(names.map((name) => sums(name, asked, isAdmin)));
  const { value, error, isLoading, reload } = useLoaded(load, [JSON.stringify(asked), names.join()]);
  const set = (changes) => go(["usage"], { ...given, ...changes }, { replace: true });
  const isShown = value?.length === names.length;
  return html`<div class="view">
    <h1>${t("app.usage")}</h1>
    <form class="filters" role="search" aria-label=${t("lists.filters")} onSubmit=${(event) => event.preventDefault()}>
      <${Period} ...${{ given, period, set }} />
      ${isOperator && settings.auth !== "none" && html`<${Owners} given=${given} set=${set} />`}
    </form>
    ${error && error.status !== 0 && html`<${Problem} error=${error} again=${reload} />`}
    ${!isShown && !error && html`<${Loading} />`}
    ${isShown && html`<div class="view-part" aria-busy=${isLoading}><${Found} ...${{ value, names, period, given }} /></div>`}
    ${isOperator && (owner ? html`<${Budget} key=${owner} owner=${owner} />` : isAdmin && html`<p class="muted">${t("lists.budgetWhere")}</p>`)}
  </div>`;
}

function Period({ given, period, set }) {
  const days = given.from || given.to ? null : Number(given.days) || 30;
  const date = (name, label) => html`<label class="filter">
    <span>${label}</span>
    <input type="date" value=${period[name]} max=${daysAgo(0)} required
      onChange=${({ target }) => target.value && set({ ...period, [name]: target.value, days: "" })} />
  </label>`;
  return html`
    <fieldset class="filter">
      <legend>${t("lists.period")}</legend>
      <div class="segments">
        ${PERIODS.map(
          (each) => html`<label>
            <input type="radio" name="days" checked=${days === each} onChange=${() => set({ days: each, from: "", to: "" })} />
            <span>${t("lists.daysShort", { days: each })}</span>
          </label>`,
        )}
      </div>
    </fieldset>
    ${date("from", t("lists.from"))}${date("to", t("lists.to"))}
  `;
}

function Found({ value, names, period, given }) {
  const [ofDays, ...others] = value;
  const all = total(ofDays.groups);
  const unpriced = [...new Set(value.flatMap((each) => each.unpriced))];
  const last = value.map((each) => each.last).find(Boolean);
  return html`
    <dl class="tiles">
      <div><dt>${t("lists.cost")}</dt><dd>${money(all.usd)}</dd></div>
      <div><dt>${t("lists.tokens")}</dt><dd>${count(all.input_tokens + all.output_tokens)}</dd>
        <dd class="muted">${t("lists.inOut", { input: count(all.input_tokens), output: count(all.output_tokens) })}</dd></div>
      <div><dt>${t("app.runs")}</dt><dd>${count(all.runs)}</dd></div>
      <div><dt>${t("lists.calls")}</dt><dd>${count(all.model_calls)}</dd></div>
    </dl>
    ${unpriced.length > 0 && html`<p class="note">${t("lists.unpriced", { models: unpriced.join(", ") })}</p>`}
    ${last && html`<p class="note">${t("lists.countedUntil", { when: time(timeOf(last)) })}</p>`}
    <${Days} days=${everyDay(ofDays.groups, period.from, period.to)} />
    <div class="sums-side">
      ${others.map((each, index) => html`<${Sums} name=${names[index + 1]} groups=${each.groups} given=${given} />`)}
    </div>
  `;
}

function Days({ days }) {
  const [measure, setMeasure] = useState("usd");
  const write = measure === "usd" ? plainMoney : count;
  const bars = days.map((each) => ({ ...each, value: MEASURES[measure](each) }));
  const most = Math.max(...bars.map((each) => each.value));
  const titles = { usd: t("lists.cost"), tokens: t("lists.tokens"), runs: t("app.runs") };
  const describe = (each) =>
    t("lists.ofDay", { day: day(each.name), usd: money(each.usd), tokens: count(MEASURES.tokens(each)), runs: count(each.runs) });
  return html`<section class="card chart-card">
    <div class="head">
      <h2>${t("lists.by_day")}</h2>
      <div class="segments" role="radiogroup" aria-label=${t("lists.measure")}>
        ${Object.keys(MEASURES).map(
          (each) => html`<label>
            <input type="radio" name="measure" checked=${measure === each} onChange=${() => setMeasure(each)} />
            <span>${titles[each]}</span>
          </label>`,
        )}
      </div>
    </div>
    <${BarChart} bars=${bars} ticks=${ticks(most, measure !== "usd")} tick=${write} short=${shortDay}
      label=${`${t("lists.by_day")}: ${titles[measure]}`} describe=${describe} rest=${t("lists.chartHint")} />
    <details><summary>${t("lists.asTable")}</summary><${Table} name="day" groups=${[...days].reverse()} write=${day} /></details>
  </section>`;
}

function Sums({ name, groups, given }) {
  const sorted = [...groups].sort((one, other) => (other.usd ?? Infinity) - (one.usd ?? Infinity) || other.runs - one.runs);
  const link = (owner) => html`<a href=${place(["usage"], { ...given, owner })}><bdi>${owner}</bdi></a>`;
  return html`<section class="card">
    <h2>${t(`lists.by_${name}`)}</h2>
    ${groups.length
      ? html`<${Table} name=${name} groups=${sorted} hasBars write=${name === "owner" ? link : (each) => html`<bdi>${each}</bdi>`} />`
      : html`<p class="muted">${t("lists.nothingUsed")}</p>`}
  </section>`;
}

/** The numbers of groups; hasBars: with each one's share of the whole price, or of the tokens where there is no price. */
function Table({ name, groups, write, hasBars }) {
  const measure = groups.some((each) => each.usd) ? MEASURES.usd : MEASURES.tokens;
  const whole = groups.reduce((sum, each) => sum + measure(each), 0);
  return html`<div class="scroll" role="region" tabindex="0" aria-label=${t(`lists.by_${name}`)}>
    <table class="sums">
      <thead><tr>
        <th scope="col">${t(`lists.of_${name}`)}</th>
        ${[t("lists.cost"), t("lists.tokens"), t("app.runs"), t("lists.calls")].map((each) => html`<th scope="col" class="number">${each}</th>`)}
      </tr></thead>
      <tbody>${groups.map(
        (each) => html`<tr>
          <th scope="row">
            ${write(each.name)}${hasBars && html`<${Share} parts=${[{ share: whole ? measure(each) / whole : 0, kind: "used" }]} />`}
          </th>
          <td class="number">${money(each.usd)}</td>
          <td class="number">${count(MEASURES.tokens(each))}</td>
          <td class="number">${count(each.runs)}</td>
          <td class="number">${count(each.model_calls)}</td>
        </tr>`,
      )}</tbody>
    </table>
  </div>`;
}
