// Build src/agency_lambda/page, or another folder, of src/page: few small files, as each is an invocation on Lambda.
import { build, transform } from "esbuild";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, posix } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = `${root}src/page`;
const folder = process.argv[2] ?? `${root}src/agency_lambda/page`;
const PACKAGES = ["preact", "htm", "marked", "@dagrejs/dagre", "oauth4webapi"]; // package-lock.json pins them by hash

// These packages hold one file with everything in it, and in its source map the modules that it was made of. Of those
// only the needed ones are taken: the reader of Markdown, not what writes HTML, and what lays out a graph.
const MAPS = ["marked/lib/marked.esm.js.map", "@dagrejs/dagre/dist/dagre.esm.js.map"];
const ENTRIES = {
  marked: 'export { _Lexer as Lexer } from "./src/Lexer.ts";',
  "@dagrejs/dagre": 'export { Graph } from "@dagrejs/graphlib"; export { layout } from "./lib/layout.ts";',
  "@dagrejs/graphlib": `
    import { postorder } from "./node_modules/@dagrejs/graphlib/lib/alg/postorder.ts";
    import { preorder } from "./node_modules/@dagrejs/graphlib/lib/alg/preorder.ts";
    export { Graph } from "./node_modules/@dagrejs/graphlib/lib/graph.ts";
    export const alg = { postorder, preorder };`,
};

// How the page uses both is fixed: what other options would do is left out, and of a layout the steps for what its graphs
// have not: clusters, edges from a node to itself, words beside edges, other directions.
const OPTIONS = { gfm: true, breaks: true, pedantic: false, silent: false, extensions: undefined, hooks: undefined };
const OPTION = [/\bthis\.options\.(\w+)\b(?! =)/g, (all, name) => (name in OPTIONS ? `(${OPTIONS[name]})` : all)];
const EDITS = {
  "../src/Lexer.ts": [OPTION],
  "../src/Tokenizer.ts": [OPTION],
  "../src/rules.ts": [
    [/^const \w+Pedantic\b[^]*?;\n(?=\n)/gm, ""],
    [/^  pedantic: \w+,\n/gm, ""],
  ],
  "../lib/layout.ts": [
    ["recursiveClusterLayout(g as any, util.notime, opts);", "const made = buildLayoutGraph(g); runLayout(made, util.notime, opts, null); updateInputGraph(g, made);"],
    [/^ *time\(".*\b(\w*SelfEdges|\w+EdgeLabel(Proxies|Coords)|parentDummyChains|\w+CoordinateSystem|\w+Border\w+)",.*\n/gm, ""],
  ],
  "../lib/order/index.ts": [
    [/^ *addSubgraphConstraints\(.*\n/m, ""],
    [/typeof opts\.customOrder === 'function'|opts\.disableOptimalOrderHeuristic/g, "false"],
  ],
  "../lib/acyclic.ts": [['graph.graph().acyclicer === "greedy"', "false"]],
  "../lib/rank/index.ts": [[/^[^]*$/, 'export { default } from "./network-simplex.ts";']],
};

function edited(path, text) {
  return (EDITS[path] ?? []).reduce((before, [part, other]) => {
    const after = before.replace(part, other);
    if (after === before) throw new Error(`${path} has no ${part} any more: see what this edit has to be now.`);
    return after;
  }, text);
}

const onlyNeededModules = {
  name: "only-needed-modules",
  async setup({ onLoad, onResolve }) {
    const modules = new Map(Object.entries(ENTRIES).map(([name, text]) => [`../${name.split("/").at(-1)}`, text]));
    for (const map of MAPS) {
      const { sources, sourcesContent } = JSON.parse(await readFile(`${root}node_modules/${map}`, "utf8"));
      sources.forEach((path, index) => modules.set(path, sourcesContent[index]));
    }
    const resolved = (asked) => {
      const path = ["", ".ts", "/index.ts"].map((end) => asked + end).find((each) => modules.has(each));
      return { path, namespace: "modules", sideEffects: false };
    };
    onResolve({ filter: /^(marked|@dagrejs\/\w+)$/ }, ({ path }) => resolved(`../${basename(path)}`));
    onResolve({ filter: /^\./, namespace: "modules" }, ({ path, importer }) => resolved(posix.join(posix.dirname(importer), path)));
    onLoad({ filter: /./, namespace: "modules" }, ({ path }) => ({ contents: edited(path, modules.get(path)), loader: "ts" }));
  },
};

// Templates need no indentation either, and no line breaks around elements.
const withoutIndentation = {
  name: "without-indentation",
  setup: ({ onLoad }) =>
    onLoad({ filter: /src\/page\/.*\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/\n[ \t]+/g, "\n").replace(/(?<=[>}`])\n(?=<|\$\{|`)/g, ""),
    })),
};

async function bundled() {
  const { metafile } = await build({
    absWorkingDir: root,
    preserveSymlinks: true, // names of files hold their paths, which are the same wherever packages lie
    entryPoints: ["main.js", "markdown_worker.js", "style.css"].map((name) => `${source}/${name}`),
    outdir: folder,
    chunkNames: "[name]-[hash]", // one digest of all files is in their address: a change of one is a new address
    bundle: true,
    splitting: true,
    minify: true,
    mangleProps: /^_[a-z]/, // private ones: of dagre's graphs, and the page's own
    format: "esm",
    charset: "utf8",
    target: "es2022",
    legalComments: "none",
    metafile: true,
    plugins: [onlyNeededModules, withoutIndentation],
  });
  return Object.entries(metafile.outputs).map(([path, output]) => ({ name: basename(path), ...output }));
}

/** Return what the page needs before it shows anything: the modules that main.js imports, and what those do. */
function needed(outputs, name, found = new Set([name])) {
  const { imports } = outputs.find((each) => each.name === name);
  for (const each of imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => basename(path))) {
    if (!found.has(each)) needed(outputs, each, found.add(each));
  }
  return [...found];
}

async function licence(name) {
  const home = `${root}node_modules/${name}`;
  const { version } = JSON.parse(await readFile(`${home}/package.json`, "utf8"));
  const file = (await readdir(home)).find((each) => /^licen[cs]e/i.test(each));
  return `${name} ${version}\n\n${(await readFile(`${home}/${file}`, "utf8")).trim()}\n`;
}

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const outputs = await bundled();
const preload = needed(outputs, "main.js").map((name) => `<link rel="modulepreload" href="{page}/${name}">`);
const page = await readFile(`${source}/index.html`, "utf8");
await writeFile(`${folder}/index.html`, page.replace(/^( *)<!-- modules -->$/m, (_, pad) => preload.map((each) => pad + each).join("\n")));
await copyFile(`${source}/icon.svg`, `${folder}/icon.svg`);
const boot = await transform(await readFile(`${source}/boot.js`, "utf8"), { minify: true, charset: "utf8" });
await writeFile(`${folder}/boot.js`, boot.code);
await writeFile(`${folder}/LICENCES.txt`, (await Promise.all(PACKAGES.map(licence))).join(`\n${"-".repeat(80)}\n\n`));
