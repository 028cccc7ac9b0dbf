// Runs the suite with its own arguments. It imports `globSync` of fs, which Node has since version 22, and which the
// scenarios for servers never call.
import { register } from "node:module";
import { pathToFileURL } from "node:url";

const fs = 'export * from "node:fs"; import * as all from "node:fs"; export const globSync = all.globSync;';
const hooks = `export const resolve = (name, context, next) => name === "fs" && context.parentURL?.includes("conformance")
  ? { url: ${JSON.stringify(`data:text/javascript,${encodeURIComponent(fs)}`)}, shortCircuit: true }
  : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
await import(pathToFileURL(process.env.SUITE));
