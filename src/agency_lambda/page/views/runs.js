import { html } from "../vendor/preact.js";

export function Runs() {
  return html`<p></p>`;
}
