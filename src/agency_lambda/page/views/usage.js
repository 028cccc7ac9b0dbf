import { html } from "../vendor/preact.js";
import { t } from "../words.js";

export function Usage() {
  return html`<div class="view"><h1>${t("app.usage")}</h1></div>`;
}
