// Makes a small tree of a Markdown text, away from the page: a text that takes too long costs this worker only.
import { Lexer } from "marked";

const DEEP = 24; // levels; what is deeper is text
const MANY = 6000; // elements; a text with more is shown plain
const INLINE = { strong: "strong", em: "em", del: "del" };
const WEB = /^(https?:\/\/|mailto:)/i;
const IMAGE = /^data:image\/(png|jpeg|gif|webp);base64,/i;

let left = 0;

/** Return an element as [name, properties, children]; a text stays one. Names are those that markdown.js knows. */
function element(name, properties, children) {
  left -= 1;
  if (left < 0) throw new RangeError("too many elements");
  return [name, properties, children];
}

const all = (tokens = [], depth) => (depth > DEEP ? tokens.map((each) => each.raw) : tokens.map((each) => one(each, depth)));

function one(token, depth) {
  const within = () => all(token.tokens, depth + 1);
  switch (token.type) {
    case "space":
    case "def":
      return "";
    case "paragraph":
      return element("p", {}, within());
    case "heading":
      return element(`h${token.depth}`, {}, within());
    case "code":
      return element("code-block", { language: token.lang ?? "" }, [token.text]);
    case "blockquote":
      return element("blockquote", {}, within());
    case "list":
      return element(token.ordered ? "ol" : "ul", token.ordered ? { start: token.start } : {}, token.items.map(item(depth)));
    case "table":
      return table(token, depth);
    case "hr":
    case "br":
      return element(token.type, {}, []);
    case "codespan":
      return element("code", {}, [token.text]);
    case "link":
      return WEB.test(token.href) ? element("a", { href: token.href }, within()) : token.raw;
    case "image":
      return image(token);
    case "checkbox":
      return element("checkbox", { checked: token.checked }, []);
    case "text":
    case "escape":
      return token.tokens ? element("span", {}, within()) : decoded(token.text);
    case "html":
      return token.block ? element("p", {}, [token.raw]) : token.raw;
    default:
      return INLINE[token.type] ? element(INLINE[token.type], {}, within()) : token.raw;
  }
}

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const decoded = (text) => text.replace(/&(amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[\da-f]{1,6});/gi, character);

function character(entity, name) {
  if (name[0] !== "#") return ENTITIES[name.toLowerCase()];
  const code = Number(name[1].toLowerCase() === "x" ? `0${name.slice(1)}` : name.slice(1));
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : entity;
}

// Nothing is loaded from elsewhere: an address in an answer could carry away what the conversation holds.
function image({ href, text, raw }) {
  if (IMAGE.test(href)) return element("img", { src: href, alt: text }, []);
  return WEB.test(href) ? element("a", { href }, [text || href]) : raw;
}

const item = (depth) => (token) => element("li", {}, all(token.tokens, depth + 2));

function table(token, depth) {
  const row = (cells, name) =>
    element("tr", {}, cells.map((cell, column) => element(name, { align: token.align[column] }, all(cell.tokens, depth + 2))));
  const body = token.rows.map((cells) => row(cells, "td"));
  return element("table", {}, [element("thead", {}, [row(token.header, "th")]), element("tbody", {}, body)]);
}

addEventListener("message", ({ data }) => {
  left = MANY;
  try {
    const tokens = new Lexer({ gfm: true, breaks: true }).lex(data.text);
    postMessage({ blocks: tokens.map((token) => ({ raw: token.raw, tree: one(token, 0) })) });
  } catch {
    postMessage({ blocks: null });
  }
});
postMessage({ isReady: true });
