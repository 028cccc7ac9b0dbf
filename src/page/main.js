import { App } from "./app.js";
import { html, render } from "./preact.js";
import { language } from "./words.js";

document.documentElement.lang = language;
render(html`<${App} />`, document.getElementById("page"));
