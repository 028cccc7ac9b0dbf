import { html } from "../preact.js";
import { t } from "../words.js";

/** For operators: what is their own, that of all owners, or of one. given: the address; set(changes) changes it. */
export function Owners({ given, set }) {
  const isAll = given.scope === "all" || Boolean(given.owner);
  const choice = (scope, label) => html`<label>
    <input type="radio" name="scope" checked=${isAll === (scope === "all")} onChange=${() => set({ scope, owner: "" })} />
    <span>${label}</span>
  </label>`;
  return html`
    <fieldset class="filter">
      <legend>${t("lists.whose")}</legend>
      <div class="segments">${choice("mine", t("lists.mine"))}${choice("all", t("lists.allOwners"))}</div>
    </fieldset>
    ${isAll &&
    html`<label class="filter">
      <span>${t("lists.owner")}</span>
      <input type="search" value=${given.owner ?? ""} onChange=${({ target }) => set({ scope: "all", owner: target.value.trim() })} />
    </label>`}
  `;
}
