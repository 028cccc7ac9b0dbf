// What one agent of an agency is, does and has cost.
import * as api from "../../api.js";
import { count, money } from "../../format.js";
import { html, useEffect, useState } from "../../preact.js";
import { t } from "../../words.js";
import { stateText } from "./graph.js";
import { lightOf, noLights, ofTrace } from "./lights.js";

/** Return the trace of a response, asked for anew when `turn` changes; null where there is none. */
export function useTrace(responseId, turn) {
  const [trace, setTrace] = useState(null);
  useEffect(() => {
    if (!responseId) return setTrace(null);
    let isCurrent = true;
    api.trace(responseId).then((value) => isCurrent && setTrace(value), () => {}); // not stored, or not yet
    return () => (isCurrent = false);
  }, [responseId, turn]);
  return trace?.response_id === responseId ? trace : null;
}

export function Panel({ agency, name, lights, trace, onSelect, onClose }) {
  const agent = agency.agents.find((each) => each.name === name);
  const light = lights.agents.get(name);
  const spent = trace ? lightOf(ofTrace(trace, agency), name) : null;
  const to = agency.flows.filter((flow) => flow.from === name).map((flow) => flow.to);
  const from = agency.flows.filter((flow) => flow.to === name).map((flow) => flow.from);
  return html`
    <section class="swarm-panel" aria-label=${name}>
      <header>
        <h3 dir="auto">${name}</h3>
        <button class="plain" aria-label=${t("app.close")} onClick=${onClose}>✕</button>
      </header>
      <p class="swarm-now" data-state=${light?.state ?? "idle"} role="status">${stateText(light)}</p>
      <dl class="swarm-facts">
        <${Fact} name=${t("swarm.asked")} value=${count(light?.asked ?? 0)} />
        ${spent && html`<${Fact} name=${t("lists.calls")} value=${count(spent.modelCalls)} />
          <${Fact} name=${t("lists.tokens")} value=${count(spent.tokens)} />
          <${Fact} name=${t("lists.cost")} value=${money(spent.usd)} />`}
      </dl>
      <${Colleagues} title=${t("swarm.mayAsk")} names=${to} onSelect=${onSelect} />
      <${Colleagues} title=${t("swarm.isAskedBy")} names=${from} onSelect=${onSelect} />
      <${ToolList} agent=${agent} light=${light} />
    </section>`;
}

const Fact = ({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

function Colleagues({ title, names, onSelect }) {
  if (!names.length) return null;
  return html`<div><h4>${title}</h4><p class="swarm-names">
    ${names.map((name) => html`<button key=${name} dir="auto" onClick=${() => onSelect(name)}>${name}</button>`)}
  </p></div>`;
}

function ToolList({ agent, light }) {
  if (!agent.tools.length) return html`<p class="muted">${t("swarm.noTools")}</p>`;
  const times = (tool) => light?.tools.get(tool)?.count ?? 0;
  return html`<div><h4>${t("swarm.tools")}</h4><ul class="swarm-tools">
    ${agent.tools.map(
      (tool) => html`<li key=${tool} data-used=${times(tool) > 0}>
        <code dir="auto">${tool}</code><span>${times(tool) ? `${count(times(tool))}×` : ""}</span>
      </li>`,
    )}
  </ul></div>`;
}

/** The graph as a list, for those who do not see it. */
export function Listed({ agency, lights = noLights() }) {
  const line = ({ name, tools }) =>
    [
      name,
      agency.entry_points.includes(name) ? t("swarm.entry") : null,
      stateText(lights.agents.get(name)),
      tools.length ? `${t("swarm.tools")}: ${tools.join(", ")}` : null,
      ...[agency.flows.filter((flow) => flow.from === name).map((flow) => flow.to)]
        .filter((names) => names.length)
        .map((names) => `${t("swarm.mayAsk")}: ${names.join(", ")}`),
    ].filter(Boolean);
  return html`<ul class="hidden" aria-label=${t("swarm.list", { name: agency.name })}>
    ${agency.agents.map((agent) => html`<li key=${agent.name}>${line(agent).join("; ")}</li>`)}
  </ul>`;
}
