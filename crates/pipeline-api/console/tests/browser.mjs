// The pages in a browser, against a running pipeline with a sandbox: `node browser.mjs [PART OF A NAME]`. One browser, one
// pipeline, one test after the other.
import { browser } from "./bench.mjs";
import * as events from "./events.mjs";
import * as pages from "./pages.mjs";
import * as streams from "./streams.mjs";

const wanted = process.argv[2] ?? "";
let failed = 0;
for (const [name, test] of Object.entries({ ...events, ...streams, ...pages })) {
    if (!name.includes(wanted)) continue;
    const start = Date.now();
    try {
        await test();
        console.log(`ok ${name} (${Date.now() - start} ms)`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED ${name}\n${error.stack ?? error}`);
    }
}
await browser.close();
process.exit(failed ? 1 : 0);
