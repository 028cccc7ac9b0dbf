import { html } from "../vendor/preact.js";

export function SwarmView() {
  return html`<p></p>`;
}
