import { html } from "../vendor/preact.js";

export function Approvals() {
  return html`<p></p>`;
}
