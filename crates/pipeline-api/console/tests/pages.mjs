// Every other page.
import { accessible, api, done, event, fault, fits, lift, open, send, taken, until } from "./bench.mjs";
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";

const { CONFIG_FILE } = process.env;

const PAGES = {
    "/delivery": ["Delivery", "Why events were not delivered"],
    "/quality": ["Match quality", "Events that carry an identifier"],
    "/letters": ["Dead letters", "Send again"],
    "/pipeline": ["Pipeline", "The figures add up"],
    "/setup?sink=meta": ["Set-up", "This would be sent"],
    "/try": ["Try an event", "What would be sent appears here"],
};

export async function every_page_opens_is_accessible_and_fits_a_telephone() {
    for (const [path, [title, text]] of Object.entries(PAGES)) {
        const page = await open(path);
        await page.getByRole("heading", { level: 1, name: title }).waitFor();
        await page.getByText(text).first().waitFor();
        assert.equal(await page.title(), `${title} – pipeline`);
        await accessible(page, path.slice(1).replace(/\?.*/, ""));
        await page.setViewportSize({ width: 400, height: 800 });
        await fits(page, path);
        await done(page);
    }
}

export async function the_chart_says_in_words_and_in_a_table_what_it_draws() {
    await send(event(randomUUID()));
    const page = await open("/delivery");
    const chart = page.getByRole("img", { name: /^Events in the last hour: / });
    await chart.waitFor();
    assert.match(await chart.getAttribute("aria-label"), /[1-9][\d,]* delivered, [1-9][\d,]* filtered, [1-9]\d* rejected, \d+ retrying\.$/);
    await page.getByText("The same as a table").click();
    await page.locator("details table td", { hasText: /^\d\d:\d\d:\d\d$/ }).first().waitFor();
    await page.getByRole("button", { name: "Last day" }).click();
    await page.waitForFunction(() => location.search === "?range=1d");
    await done(page);
}

export async function a_reason_leads_to_its_events() {
    const page = await open("/delivery");
    await page.locator("td a").first().click();
    await page.waitForFunction(() => location.pathname === "/events" && new URLSearchParams(location.search).has("reason"));
    await page.waitForFunction(() => document.querySelectorAll("table.rows tbody tr").length > 0);
    await done(page);
}

export async function coverage_is_what_the_server_counted() {
    const { body } = await api("quality?sink=hotel");
    const page = await open("/quality?sink=hotel");
    for (const { name, events } of body.names) {
        const row = page.locator("table.heat tr", { has: page.getByText(name, { exact: true }) });
        assert.equal(await row.locator("td").nth(1).innerText(), events.toLocaleString("en-US"), name);
    }
    await done(page);
}

export async function delivery_is_paused_and_resumed_from_the_page() {
    const page = await open("/pipeline");
    await page.getByRole("button", { name: "Pause delivery of hotel" }).click();
    await page.getByRole("button", { name: "Resume delivery of hotel" }).waitFor();
    await page.locator(".top .dot.paused").getByText("hotel: paused").waitFor();
    await page.getByRole("button", { name: "Resume delivery of hotel" }).click();
    await page.getByRole("button", { name: "Pause delivery of hotel" }).waitFor();
    await done(page);
}

export async function an_event_is_tried_without_being_sent_and_then_sent_as_a_test() {
    const page = await open("/try");
    const id = randomUUID();
    await page.getByLabel("Sink").selectOption("meta");
    await page.getByLabel("One event, as its sender writes it").fill(JSON.stringify(event(id), null, 2));
    await page.getByRole("button", { name: "Show what would be sent" }).click();
    await page.getByText("This would be sent.").waitFor();
    await page.locator(".json .key", { hasText: "user_data" }).waitFor();
    assert.ok(!(await page.locator(".json").innerText()).includes("203.0.113.7"), "the address is shortened");
    await page.getByRole("button", { name: "Fields" }).click();
    await page.getByText("Carried to match by:").waitFor();
    await accessible(page, "try-mapped");
    const has = async () => (await taken()).some((line) => line.includes(id));
    assert.ok(!(await has()), "nothing was sent");
    await page.getByLabel("Test event code").fill("TEST777");
    await page.getByRole("button", { name: "Send as a test event" }).click();
    await page.getByText("Meta took it.").waitFor();
    assert.ok(await has(), "the test event was sent");
    await page.getByLabel("One event, as its sender writes it").fill('{"event": ');
    await page.getByRole("button", { name: "Show what would be sent" }).click();
    await page.getByRole("alert").getByText(/line 1, column/).waitFor();
    await done(page);
}

export async function a_letter_is_sent_again_and_deleting_asks_for_the_name() {
    const id = randomUUID();
    await fault({ type: "refuse_event_id", event_id: id }, 1000);
    await send(event(id));
    const refused = await until("it is a dead letter", async () => {
        const { body } = await api("letters");
        const groups = body.sinks.flatMap((sink) => sink.groups);
        return groups.find((group) => group.destination !== null)?.reason;
    });
    await lift();
    const page = await open("/letters");
    await page.getByRole("button", { name: `Send again: ${refused}, meta` }).click();
    await page.getByText("1 delivered, 0 rejected again").waitFor();
    await until("it is delivered", async () => (await taken()).some((line) => line.includes(id)));
    await page.getByRole("button", { name: "Delete …: too_old, meta" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    assert.ok(await dialog.getByRole("button", { name: "Delete them" }).isDisabled());
    await accessible(page, "letters-delete");
    await dialog.getByRole("textbox").fill("meta");
    await dialog.getByRole("button", { name: "Delete them" }).click();
    await page.getByRole("button", { name: "Delete …: too_old, meta" }).waitFor({ state: "detached" });
    await page.locator("section", { hasText: "hotel" }).locator("td a").first().click();
    await page.getByRole("region", { name: "Letters", exact: true }).locator("tbody a").first().click();
    await page.getByRole("region", { name: "Letter", exact: true }).getByText("Became a letter").waitFor();
    await accessible(page, "letters-open");
    await done(page);
}

export async function a_mistake_is_told_at_its_field_and_on_top_and_cannot_be_saved() {
    const page = await open("/setup?sink=meta");
    const field = page.locator("#option-pixel_id");
    await field.getByRole("textbox").fill("not a number");
    await field.locator(".error").waitFor();
    await page.getByText("1 problem:").waitFor();
    await page.locator(".notice.bad a", { hasText: "pixel_id" }).waitFor();
    assert.ok(await page.getByRole("button", { name: "Review" }).isDisabled());
    await accessible(page, "setup-mistake");
    await field.getByRole("button", { name: "undo: pixel_id" }).click();
    await page.getByText("1 problem:").waitFor({ state: "detached" });
    await done(page);
}

export async function every_option_of_the_schema_has_a_field() {
    const { body } = await api("schema/meta_conversions");
    const page = await open("/setup?sink=meta");
    await page.locator("#option-pixel_id").waitFor();
    const there = await page.locator("[data-option]").evaluateAll((fields) => fields.map((field) => field.dataset.option));
    const missing = Object.keys(body.properties).filter((key) => !there.includes(key) && !["type", "event_mappings"].includes(key));
    assert.deepEqual(missing, []);
    assert.ok(there.includes("consent.when_absent") && there.includes("batch.max_events"), "options in groups have fields too");
    assert.ok(!(await page.content()).includes("the-token-of-today"), "no token is shown");
    await done(page);
}

export async function an_event_that_is_not_mapped_is_mapped_saved_and_sent() {
    const name = "Quote Requested";
    const id = randomUUID();
    await send(event(randomUUID(), { event: name }));
    const before = await readFile(CONFIG_FILE, "utf8");
    const page = await open("/setup?sink=meta");
    await page.getByRole("button", { name: `Map it: ${name}` }).click();
    await page.getByLabel(`What ${name} becomes`).selectOption("Contact");
    await page.getByText("The changes do not affect this event.").waitFor();
    await page.getByLabel("What Order Completed becomes").selectOption("Subscribe");
    await page.getByText(/fields? changes?:/).waitFor();
    await page.getByRole("button", { name: "undo: Order Completed" }).click();
    await page.getByText("The changes do not affect this event.").waitFor();
    await page.getByRole("button", { name: "Review" }).click();
    await page.getByRole("button", { name: "Copy the difference" }).waitFor();
    await page.locator(".diff ins", { hasText: name }).waitFor();
    await accessible(page, "setup-review");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Saved.").waitFor().catch(async (e) => { throw new Error(await page.locator("section[aria-label=Changes]").innerText()); });
    const after = await readFile(CONFIG_FILE, "utf8");
    assert.ok(after.includes("# The pipeline of a shop"), "comments stay");
    assert.ok(after.includes(name));
    assert.equal(await readFile(`${CONFIG_FILE}.bak`, "utf8"), before);
    await send(event(id, { event: name }));
    const sent = await until("it is sent", async () => (await taken()).find((line) => line.includes(id)));
    assert.equal(JSON.parse(sent).event_name, "Contact");
    await done(page);
}
