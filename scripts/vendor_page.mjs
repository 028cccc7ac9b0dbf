// Make src/agency_lambda/page/vendor, or another folder, of the packages that package-lock.json pins by hash.
import { build } from "esbuild";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";

const root = new URL("..", import.meta.url).pathname;
const folder = process.argv[2] ?? `${root}src/agency_lambda/page/vendor`;
const preact = `
  import { h } from "preact";
  import htm from "htm";
  export { h, render, createContext, Fragment } from "preact";
  export * from "preact/hooks";
  export const html = htm.bind(h);`;
const openid = `export {
  allowInsecureRequests, authorizationCodeGrantRequest, calculatePKCECodeChallenge, discoveryRequest,
  generateRandomCodeVerifier, generateRandomState, None, processAuthorizationCodeResponse, processDiscoveryResponse,
  processRefreshTokenResponse, refreshTokenGrantRequest, validateAuthResponse } from "oauth4webapi";`;
const MODULES = {
  preact: { packages: ["preact", "htm"], source: preact },
  marked: { packages: ["marked"], source: `export { Lexer } from "marked";` },
  dagre: { packages: ["@dagrejs/dagre"], source: `export { Graph, layout } from "@dagrejs/dagre";` },
  oauth4webapi: { packages: ["oauth4webapi"], source: openid },
};

async function licence(name) {
  const home = `${root}node_modules/${name}`;
  const { version } = JSON.parse(await readFile(`${home}/package.json`, "utf8"));
  const file = (await readdir(home)).find((each) => /^licen[cs]e/i.test(each));
  return `${name} ${version}\n\n${(await readFile(`${home}/${file}`, "utf8")).trim()}\n`;
}

await mkdir(folder, { recursive: true });
for (const [name, { packages, source }] of Object.entries(MODULES)) {
  const made = await build({
    stdin: { contents: source, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    write: false,
  });
  await writeFile(`${folder}/${name}.js`, `// ${packages.join(", ")}: see LICENCES.txt\n${made.outputFiles[0].text}`);
}
const packages = [...new Set(Object.values(MODULES).flatMap((each) => each.packages))];
await writeFile(`${folder}/LICENCES.txt`, (await Promise.all(packages.map(licence))).join(`\n${"-".repeat(80)}\n\n`));
