// How wide texts are, so that those of an SVG end with an ellipsis where their box does.

const canvas = document.createElement("canvas").getContext("2d");
const segments = new Intl.Segmenter();
const RTL = /^[^\p{L}]*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u;

let family;
/** Return the width in pixels of a text; `font` as "600 13". */
export function widthOf(text, font) {
  family ??= getComputedStyle(document.documentElement).getPropertyValue("--sans");
  const [weight, size] = font.split(" ");
  canvas.font = `${weight} ${size}px ${family}`;
  return canvas.measureText(text).width;
}

/** Return the text, shortened so that it is no wider than `width`. */
export function clipped(text, width, font) {
  if (widthOf(text.slice(0, 400), font) <= width && text.length <= 400) return text;
  const letters = [...segments.segment(text.slice(0, 400))].map((each) => each.segment);
  let [low, high] = [0, letters.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (widthOf(`${letters.slice(0, middle).join("")}…`, font) <= width) low = middle;
    else high = middle - 1;
  }
  return `${letters.slice(0, low).join("")}…`;
}

/** Return the attributes by which a text begins at the left of its place, whichever way it is read. */
export const reading = (text) => (RTL.test(text) ? { direction: "rtl", "text-anchor": "end" } : {});
