// Two pages under load: `node load.mjs`. The pipeline reads EVENTS events from a paced file, among them one that is rejected.
import { api, browser, done, open, until } from "./bench.mjs";
import { strict as assert } from "node:assert";

const EVENTS = Number(process.env.EVENTS);
/** What becomes of the rare event. */
const RARE = "too old";

const [all, rejected] = [await open("/events"), await open("/events?status=rejected")];
const rare = (page) => page.locator("table.rows tr", { hasText: RARE });
// As it comes, where only rejected events are shown.
await until("the rejected event is listed", async () => (await rare(rejected).count()) === 1);
await until("every event is delivered", async () => {
    const { body } = await api("status");
    return body.sinks[0].counts.delivered === EVENTS - 1;
});
// Where all are shown, plenty of deliveries have come since.
await all.locator(".chip.rejected").click();
await rare(all).waitFor();
for (const page of [all, rejected]) {
    const heading = page.locator(".title");
    await heading.getByText(/1 in [\d,]+ is shown/).waitFor();
    const oneIn = Number(/1 in ([\d,]+) is shown/.exec(await heading.innerText())[1].replaceAll(",", ""));
    assert.ok(oneIn > 1, `1 in ${oneIn}`);
    const count = (fate) => page.locator(`.chip.${fate}`).getAttribute("title");
    await until("the count is exact", async () => (await count("delivered")) === `${(EVENTS - 1).toLocaleString("en-US")} since the start`);
    assert.equal(await count("rejected"), "1 since the start");
    console.log(`1 in ${oneIn}`);
}
await done(all);
await done(rejected);
await browser.close();
