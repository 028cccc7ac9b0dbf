// Preact, its hooks, and htm's templates for it.
import htm from "htm";
import { h } from "preact";

export { createContext, Fragment, h, render } from "preact";
export * from "preact/hooks";
export const html = htm.bind(h);
