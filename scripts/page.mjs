// Build src/agency_lambda/page, or another folder, of src/page: few small files, as each is an invocation on Lambda.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = `${root}src/page`;
const folder = process.argv[2] ?? `${root}src/agency_lambda/page`;
const PACKAGES = ["preact", "htm", "marked", "@dagrejs/dagre", "oauth4webapi"]; // package-lock.json pins them by hash

// Only the reader of Markdown is taken of marked: the rest writes HTML, which the page has no use for.
const readsOnly = {
  name: "marked-reads-only",
  setup: ({ onLoad }) =>
    onLoad({ filter: /marked\.esm\.js$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const [, lexer] = text.match(/(\w+) as Lexer/);
      const [writes] = text.match(/var (\w+)=new \w+;function \w+\(\w+,\w+\)\{return \1\.parse\([^]*$/);
      return { contents: `${text.slice(0, -writes.length)}export{${lexer} as Lexer}` };
    }),
};

// Lines of templates need no indentation either.
const withoutIndentation = {
  name: "without-indentation",
  setup: ({ onLoad }) =>
    onLoad({ filter: /src\/page\/.*\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/\n[ \t]+/g, "\n"),
    })),
};

async function bundled() {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["main.js", "markdown_worker.js", "style.css"].map((name) => `${source}/${name}`),
    outdir: folder,
    chunkNames: "[name]-[hash]", // one digest of all files is in their address: a change of one is a new address
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    charset: "utf8",
    target: "es2022",
    legalComments: "none",
    metafile: true,
    plugins: [readsOnly, withoutIndentation],
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
await copyFile(`${source}/boot.js`, `${folder}/boot.js`);
await writeFile(`${folder}/LICENCES.txt`, (await Promise.all(PACKAGES.map(licence))).join(`\n${"-".repeat(80)}\n\n`));
