import { html } from "../vendor/preact.js";

export function Usage() {
  return html`<p></p>`;
}
