// Every other page.
import { accessible, done, fits, open } from "./bench.mjs";
import { strict as assert } from "node:assert";

const PAGES = {
    "/delivery": "Delivery",
    "/quality": "Match quality",
    "/letters": "Dead letters",
    "/pipeline": "Pipeline",
    "/setup": "Set-up",
    "/try": "Try an event",
};

export async function every_page_opens_is_accessible_and_fits_a_telephone() {
    for (const [path, title] of Object.entries(PAGES)) {
        const page = await open(path);
        await page.getByRole("heading", { level: 1, name: title }).waitFor();
        await page.waitForLoadState("networkidle").catch(() => {});
        assert.equal(await page.title(), `${title} – pipeline`);
        await accessible(page, path.slice(1));
        await page.setViewportSize({ width: 400, height: 800 });
        await fits(page, path);
        await done(page);
    }
}
