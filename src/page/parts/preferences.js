// What a reader chooses: dark or light, which this browser remembers; and signing out.
import { authorization, settings, signOut } from "../session.js";
import { html, useState } from "../preact.js";
import { browserStorage } from "../storage.js";
import { t } from "../words.js";
import { Icon } from "./icons.js";

const STORED = "theme";
const THEMES = ["auto", "light", "dark"];

const storedTheme = () => THEMES.find((each) => each === browserStorage.get(STORED)) ?? "auto";

function showTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
showTheme(storedTheme()); // before anything is painted

export function Preferences() {
  const [theme, setTheme] = useState(storedTheme);
  const choose = (each) => {
    browserStorage.set(STORED, each);
    showTheme(each);
    setTheme(each);
  };
  return html`
    <button type="button" class="preferences-button" popovertarget="preferences">
      <${Icon} name="preferences" /><span class="label">${t("app.preferences")}</span>
    </button>
    <div id="preferences" class="preferences" popover="auto">
      <fieldset>
        <legend>${t("app.theme")}</legend>
        <div class="segments">
          ${THEMES.map(
            (each) => html`<label>
              <input type="radio" name="theme" value=${each} checked=${theme === each} onChange=${() => choose(each)} />
              <span>${t(`app.theme_${each}`)}</span>
            </label>`,
          )}
        </div>
      </fieldset>
      ${authorization().authorization &&
      html`<button type="button" onClick=${() => signOut()}>${t("app.signOut")}</button>`}
      <p class="muted">agency-lambda ${settings.version}</p>
    </div>
  `;
}
