// Builds the pages into `../assets`, or into the folder that is given: `node build.mjs [FOLDER]`.
//
// The built files are checked in, so that a build of the program needs no Node. A test builds them again and compares.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const to = process.argv[2] ?? join(here, "..", "assets");
await mkdir(to, { recursive: true });

const result = await build({
    absWorkingDir: here,
    entryPoints: { console: "src/main.tsx" },
    outdir: to,
    entryNames: "[name]",
    chunkNames: "[name]",
    bundle: true,
    splitting: true,
    format: "esm",
    target: ["es2022"],
    minify: true,
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
});
await build({
    absWorkingDir: here,
    entryPoints: ["src/console.css"],
    outdir: to,
    bundle: true,
    minify: true,
    target: ["chrome123", "firefox120", "safari17.5"],
    logLevel: "warning",
});
await copyFile(join(here, "src", "index.html"), join(to, "index.html"));

// The licenses of what is in the bundle.
const packages = new Set();
for (const input of [...Object.keys(result.metafile.inputs), "node_modules/uplot/dist/uPlot.min.css"]) {
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1];
    if (name) packages.add(name);
}
const parts = [];
for (const name of [...packages].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((file) => /^licen[cs]e/i.test(file));
    if (!file) throw new Error(`${name} comes without a license`);
    const text = await readFile(join(folder, file), "utf8");
    parts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(join(to, "licenses.txt"), parts.join(`\n${"-".repeat(78)}\n\n`));
