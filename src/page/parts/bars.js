// Bars of days, and bars within a table. The numbers are in a table beside them, so a screen reader needs no bar.
import { html, useEffect, useState } from "../preact.js";
import { useWidth } from "./width.js";

const HEIGHT = 190;
const TOP = 8;
const BOTTOM = 22;

/**
 * bars: [{name, value, label}], in order. ticks: round numbers, the last one is the height. tick, short: how an amount and
 * a name on the axes are written. describe(bar) says a bar in words.
 */
export function BarChart({ bars, ticks, tick, short, label, describe, rest }) {
  const [box, width] = useWidth({ first: 640 });
  const [chosen, choose] = useState(null);
  useEffect(() => choose(null), [bars]);
  const left = 12 + 6.2 * Math.max(...ticks.map((each) => tick(each).length));
  const step = (width - left) / bars.length;
  const most = ticks.at(-1);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const every = Math.ceil(58 / step);
  const move = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -bars.length, End: bars.length }[event.key];
    if (!by) return;
    event.preventDefault();
    choose(Math.min(bars.length - 1, Math.max(0, (chosen ?? (by > 0 ? -1 : bars.length)) + by)));
  };
  return html`<div class="chart" ref=${box}>
    <p class="readout" aria-live="polite">${chosen === null ? rest : describe(bars[chosen])}</p>
    <svg role="img" tabindex="0" aria-label=${label} width=${width} height=${HEIGHT}
      onKeyDown=${move} onBlur=${() => choose(null)} onPointerLeave=${() => choose(null)}>
      ${ticks.map(
        (each) => html`<g class="tick">
          <line x1=${left} x2=${width} y1=${y(each)} y2=${y(each)} />
          <text x=${left - 8} y=${y(each) + 4}>${tick(each)}</text>
        </g>`,
      )}
      ${bars.map(({ name, value }, index) => {
        const x = left + index * step;
        const top = y(value);
        const thick = Math.max(1, Math.min(step * 0.72, 36));
        const isNamed = (bars.length - 1 - index) % every === 0 && x + step / 2 > left + 20;
        return html`<g class=${index === chosen ? "bar chosen" : "bar"} onPointerEnter=${() => choose(index)}>
          <rect class="reach" x=${x} y="0" width=${step} height=${HEIGHT - BOTTOM} />
          <rect class="amount" x=${x + (step - thick) / 2} y=${top} width=${thick} height=${Math.max(value > 0 ? 1.5 : 0, y(0) - top)}
            rx=${Math.min(2, thick / 3)} />
          ${isNamed && html`<text class="day" x=${Math.min(x + step / 2, width - 20)} y=${HEIGHT - 5}>${short(name)}</text>`}
        </g>`;
      })}
    </svg>
  </div>`;
}

/** A bar of parts of a whole, each between 0 and 1: {share, kind}. */
export function Share({ parts }) {
  let from = 0;
  return html`<svg class="share" width="100%" height="6" aria-hidden="true">
    <rect class="whole" width="100%" height="6" rx="3" />
    ${parts.map(({ share, kind }) => {
      const width = Math.max(0, Math.min(share, 1 - from));
      const x = from;
      from += width;
      return html`<rect class=${kind} x="${x * 100}%" width="${width * 100}%" height="6" rx="3" />`;
    })}
  </svg>`;
}
