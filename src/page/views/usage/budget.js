// What an owner may spend and has spent, for operators.
import * as api from "../../api.js";
import { count, money } from "../../format.js";
import { Share } from "../../parts/bars.js";
import { Loading, Problem, useLoaded } from "../../parts/load.js";
import { html, useId, useState } from "../../preact.js";
import { t } from "../../words.js";

const LIMITS = ["usd_per_day", "usd_per_month", "tokens_per_day", "tokens_per_month", "runs_at_once"];

export function Budget({ owner }) {
  const { value, error, reload } = useLoaded(() => api.budget(owner), [owner], { every: 15_000 });
  const [changed, setChanged] = useState(null); // what the last change has answered
  const [said, setSaid] = useState("");
  const change = async (request, sentence) => {
    setChanged(await request);
    setSaid(sentence);
    reload();
  };
  if (error && error.status !== 0) return html`<${Problem} error=${error} again=${reload} />`;
  if (!value) return html`<${Loading} />`;
  const version = JSON.stringify((changed ?? value).limits); // so that the fields show what is kept
  return html`<section class="card budget" aria-labelledby="budget">
    <div class="head">
      <h2 id="budget">${t("lists.budgetOf")} <bdi>${owner}</bdi></h2>
      <span class="muted">${t(value.is_default ? "lists.isDefault" : "lists.isOwn")}</span>
    </div>
    <${Meters} budget=${value} />
    <${LimitsForm} key=${version} owner=${owner} budget=${value} change=${change} />
    <p class="said muted" role="status">${said}</p>
  </section>`;
}

function Meters({ budget }) {
  return html`
    ${(budget.day.closed || budget.month.closed) && html`<p class="note">${t("lists.closed")}</p>`}
    <div class="meters">
      ${LIMITS.map((name) => html`<${Meter} name=${name} budget=${budget} />`)}
    </div>
  `;
}

function Meter({ name, budget }) {
  const limit = budget.limits[name];
  const [unit, , period] = name.split("_");
  const write = unit === "usd" ? money : count;
  const spent = unit === "runs" ? budget.runs : budget[period].spent[unit];
  const reserved = unit === "runs" ? 0 : budget[period].reserved[unit];
  const share = (amount) => (limit ? amount / limit : 1);
  const isFull = limit !== null && spent + reserved >= limit;
  const parts = [{ share: share(spent), kind: isFull ? "full" : "used" }, { share: share(reserved), kind: "reserved" }];
  return html`<div class="meter">
    <span class="muted">${t(`lists.limit_${name}`)}</span>
    <strong>
      ${limit === null && !spent ? "" : write(spent)}<span class="muted"> / ${limit === null ? t("lists.noLimit") : write(limit)}</span>
    </strong>
    ${limit !== null && html`<${Share} parts=${parts} />`}
    ${reserved > 0 && html`<span class="muted">${t("lists.reserved", { amount: write(reserved) })}</span>`}
  </div>`;
}

function LimitsForm({ owner, budget, change }) {
  const id = useId();
  const [problem, setProblem] = useState(null); // {name, message}
  const [isBusy, setBusy] = useState(false);
  const run = async (begin) => {
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    try {
      await begin();
    } catch (error) {
      setProblem({ name: error.field ?? error.param, message: error.message });
    } finally {
      setBusy(false);
    }
  };
  const save = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    run(() => change(api.setBudget(owner, limitsOf(form)), t("lists.budgetSaved")));
  };
  const reset = () => run(() => change(api.resetBudget(owner), t("lists.budgetReset")));
  return html`<form onSubmit=${save}>
    <div class="limits">
      ${LIMITS.map(
        (name) => html`<${Limit} id="${id}-${name}" name=${name} value=${budget.limits[name]}
          problem=${problem?.name === name ? problem.message : null} />`,
      )}
    </div>
    ${problem && !LIMITS.includes(problem.name) && html`<p class="field-problem" role="alert">${problem.message}</p>`}
    <div class="actions">
      <button class="primary" aria-disabled=${isBusy}>${t("lists.setLimits")}</button>
      ${!budget.is_default && html`<button type="button" disabled=${isBusy} onClick=${reset}>${t("lists.resetLimits")}</button>`}
    </div>
  </form>`;
}

/** Return the limits of a form; an empty field is no limit. Raises Error with `field`. */
function limitsOf(form) {
  const limits = {};
  for (const [name, text] of form) {
    if (!text.trim()) continue;
    limits[name] = Number(text.trim().replace(",", "."));
    if (Number.isNaN(limits[name])) throw Object.assign(new Error(t("lists.noNumber")), { field: name });
  }
  return limits;
}

const Limit = ({ id, name, value, problem }) => html`<div class="field">
  <label for=${id}>${t(`lists.set_${name}`)}</label>
  <input
    id=${id}
    name=${name}
    inputmode="decimal"
    autocomplete="off"
    placeholder=${t("lists.noLimit")}
    defaultValue=${value ?? ""}
    aria-invalid=${problem ? "true" : undefined}
    aria-describedby=${problem ? `${id}-problem` : undefined}
  />
  ${problem && html`<p class="field-problem" id="${id}-problem" role="alert">${problem}</p>`}
</div>`;
