// An agency as a graph, and what is known of the agent that is chosen in it.
import { html, useMemo, useState } from "../../preact.js";
import { t } from "../../words.js";
import { Graph } from "./graph.js";
import { noLights, ofAnswer, ofTrace } from "./lights.js";
import { Listed, Panel, useTrace } from "./panel.js";

/**
 * An agency as a graph that shows who works: `agency` of GET /agencies; `answer` as answer.js makes it, or `trace`.
 *
 * `addressed`: the agent that was asked, where it is not the first entry point. `traceOf`: the response whose trace
 * says what each agent has cost.
 */
export function Swarm({ agency, answer, trace, traceOf, addressed }) {
  const [selected, setSelected] = useState(null);
  const name = agency.agents.some((agent) => agent.name === selected) ? selected : null;
  const lights = useMemo(
    () => (trace ? ofTrace(trace, agency) : answer ? ofAnswer(answer, agency, addressed) : noLights()),
    [agency, answer, trace, addressed],
  );
  const steps = answer ? answer.items.filter((item) => item?.status === "completed").length : 0;
  const asked = useTrace(name && !trace ? traceOf : null, `${steps} ${answer?.status}`);
  if (agency.error) return html`<p class="problem">${t("swarm.broken", { code: agency.error.code })}</p>`;
  const select = (each) => setSelected((before) => (before === each ? null : each));
  const close = (event) => {
    event.currentTarget.closest(".swarm").querySelector("[aria-pressed=true]").focus();
    setSelected(null);
  };
  return html`
    <div class="swarm" data-live=${lights.isLive}>
      <${Graph} ...${{ agency, lights, selected: name }} onSelect=${select} />
      <${Listed} agency=${agency} lights=${lights} />
      ${name &&
      html`<${Panel} ...${{ agency, name, lights, trace: trace ?? asked }} onSelect=${setSelected} onClose=${close} />`}
    </div>`;
}
