// Runs axe-core in a page. It is evaluated by the debugger, so the page's policy stays as it is.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What breaks WCAG 2.2 AA or is no good practice. */
export async function violationsIn(page) {
    if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(source);
    const runOnly = { type: "tag", values: TAGS };
    return page.evaluate(async (runOnly) => (await window.axe.run(document, { runOnly, resultTypes: ["violations"] })).violations, runOnly);
}
