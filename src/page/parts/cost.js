import * as api from "../api.js";
import { money } from "../format.js";
import { html } from "../preact.js";
import { useSeen } from "./seen.js";

/** The price of one's own run that has ended, of its trace, as lists do not say it; nothing before. */
export function Cost({ run }) {
  const [place, usd] = useSeen(run.ended_at && `usd ${run.id}`, async () => (await api.trace(run.id)).usd);
  return html`<span ref=${place}>${usd === undefined ? "" : money(usd)}</span>`;
}
