// Markdown of models and users as elements of a short list: never HTML, nothing loaded from elsewhere.
import { h, html, useEffect, useRef, useState } from "./preact.js";
import { count } from "./format.js";
import { CopyButton } from "./parts/copy.js";
import { t } from "./words.js";

const PATIENCE = 2000; // ms a text may take; then the worker is ended, and the text shown as it is
const START = 60_000; // ms until the worker is there, over a slow network
const OFTEN = 100; // ms between two looks at a text that grows
const PART = 12_000; // characters, about: a finished part of a long text is read only once
const SHOWN = 4; // parts, before one asks for more
const WORKER = new URL("markdown_worker.js", import.meta.url).href;
const policy = globalThis.trustedTypes?.createPolicy("agency-lambda", { createScriptURL: () => WORKER });

const KEPT = 60; // parts that were read last: what is shown again is there at once

const kept = new Map();
const queue = [];
let worker = null;
let isReady = false; // the worker has been loaded: only then a text takes its time
let current = null;

/** Return the blocks of a text, or null where it is to be shown plain. */
function parse(text) {
  return new Promise((done) => {
    queue.push({ text, done });
    next();
  });
}

function next() {
  if (current || !queue.length) return;
  current = queue.shift();
  worker ??= started();
  wait();
  worker.postMessage({ text: current.text });
}

function wait() {
  clearTimeout(current?.timer);
  if (current) current.timer = setTimeout(ended, isReady ? PATIENCE : START);
}

function started() {
  const made = new Worker(policy ? policy.createScriptURL("") : WORKER, { type: "module" });
  isReady = false;
  made.onmessage = ({ data }) => {
    isReady = true;
    if (data.isReady) wait();
    else settle(data.blocks);
  };
  made.onerror = ended;
  return made;
}

function ended() {
  worker.terminate();
  worker = null;
  settle(null);
}

function settle(blocks) {
  clearTimeout(current.timer);
  const { done, text } = current;
  current = null;
  if (isReady) kept.set(text, blocks);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  done(blocks);
  next();
}

/** A text as Markdown, in parts; a long one shows more when asked. */
export function Markdown({ text }) {
  const [shown, setShown] = useState(SHOWN);
  const cuts = useRef([0]);
  const parts = cut(text, cuts.current);
  const rest = parts.slice(shown).reduce((sum, part) => sum + part.length, 0);
  return html`<div class="markdown">
    ${parts.slice(0, shown).map((part, index) => html`<${Part} key=${index} text=${part} />`)}
    ${rest > 0 && html`<button onClick=${() => setShown(shown + SHOWN)}>${t("chat.showMore", { rest: count(rest) })}</button>`}
  </div>`;
}

/** Return the parts of a text that may have grown. Parts end between blocks if that is possible, and outside of code. */
function cut(text, cuts) {
  while (cuts.length > 1 && cuts.at(-1) > text.length) cuts.pop(); // it was told anew
  for (let from = cuts.at(-1); text.length - from > 2 * PART; from = cuts.at(-1)) cuts.push(end(text, from));
  return cuts.map((from, index) => text.slice(from, cuts[index + 1]));
}

function end(text, from) {
  const piece = text.slice(from, from + 2 * PART);
  let isCode = false;
  let last = 0;
  for (const { 0: found, index } of piece.matchAll(/^ {0,3}(?:```|~~~)|\n{2,}/gm)) {
    if (found[0] !== "\n") isCode = !isCode;
    else if (!isCode) last = index + found.length;
  }
  if (last > PART / 2) return from + last;
  const line = piece.lastIndexOf("\n");
  return from + (line > PART / 2 ? line + 1 : piece.length);
}

/** A part of a text. While it grows only its newest state is read, and blocks that have not changed stay as they are. */
function Part({ text }) {
  const work = useRef({ known: [] }).current;
  const [blocks, setBlocks] = useState(() => (kept.get(text) ? draw(work, kept.get(text)) : null));
  work.newest = text;
  useEffect(() => void keepUp(work, setBlocks), [text]);
  useEffect(() => () => (work.isGone = true), []);
  return blocks ?? html`<p class="plain" dir="auto">${text}</p>`;
}

async function keepUp(work, setBlocks) {
  if (work.isBusy) return;
  work.isBusy = true;
  while (work.read !== work.newest && !work.isPlain && !work.isGone) {
    const began = performance.now();
    work.read = work.newest;
    const found = kept.has(work.read) ? kept.get(work.read) : await parse(work.read);
    work.isPlain = found === null;
    if (!work.isGone) setBlocks(found && draw(work, found));
    await new Promise((go) => setTimeout(go, Math.max(OFTEN, 3 * (performance.now() - began))));
  }
  work.isBusy = false;
}

function draw(work, blocks) {
  work.known = blocks.map(({ raw, tree }, index) => {
    const known = work.known[index];
    return known?.raw === raw ? known : { raw, element: drawn(tree) };
  });
  return work.known.map((block) => block.element);
}

// Headings of an answer are below the page's own.
const HEADINGS = { h1: "h3", h2: "h4", h3: "h5", h4: "h6", h5: "h6", h6: "h6" };
const BLOCKS = new Set(["p", "li", "th", "td", ...Object.keys(HEADINGS)]);
const PLAIN = new Set(["ul", "ol", "blockquote", "thead", "tbody", "tr", "strong", "em", "del", "span", "hr", "br"]);
const SAFE = new Set(["https:", "http:", "mailto:"]);

function drawn(tree) {
  if (typeof tree === "string") return tree;
  const [name, properties, children] = tree;
  const within = children.map(drawn);
  if (BLOCKS.has(name)) return h(HEADINGS[name] ?? name, blockProperties(name, properties), within);
  if (PLAIN.has(name)) return h(name, name === "ol" ? { start: properties.start } : null, within);
  return SPECIAL[name]?.(properties, within, children) ?? within;
}

function blockProperties(name, { align }) {
  return { dir: "auto", class: name[0] === "h" ? `level-${name[1]}` : align ? `align-${align}` : undefined };
}

const SPECIAL = {
  code: (_, within) => html`<code><bdi>${within}</bdi></code>`,
  "code-block": ({ language }, [text]) => html`<${CodeBlock} language=${language} text=${text} />`,
  table: (_, within) => html`<div class="scrolls" tabindex="0" role="group"><table>${within}</table></div>`,
  checkbox: ({ checked }) => html`<input type="checkbox" checked=${checked} disabled aria-label=${t("chat.task")} />`,
  img: ({ src, alt }) => html`<img src=${src} alt=${alt} />`,
  a: ({ href }, within, children) => {
    const target = parsedUrl(href);
    if (!SAFE.has(target?.protocol)) return within;
    const words = children.map(plain).join("").trim();
    const said = parsedUrl(words)?.host || words.match(/^[\w-]+(\.[\w-]+)+(?=\/|$)/)?.[0].toLowerCase();
    const isOther = target.host && (target.username || (said && said !== target.host));
    return html`<a href=${href} title=${href} target="_blank" rel="noopener noreferrer"
      ><bdi>${within}</bdi>${isOther && html` <bdi>(${target.host})</bdi>`}</a>`;
  },
};

function parsedUrl(text) {
  try {
    return new URL(text);
  } catch {
    return null; // URL.parse is younger than the browsers that docs/page.md names
  }
}

const plain = (tree) => (typeof tree === "string" ? tree : tree[2].map(plain).join(""));

function CodeBlock({ language, text }) {
  return html`<div class="code-block">
    <div class="code-head"><span>${language.split(/\s/)[0].slice(0, 30)}</span><${CopyButton} text=${text} /></div>
    <pre tabindex="0" dir="ltr"><code>${text}</code></pre>
  </div>`;
}
