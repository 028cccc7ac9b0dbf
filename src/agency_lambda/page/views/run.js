import { html } from "../vendor/preact.js";

export function Run() {
  return html`<p></p>`;
}
