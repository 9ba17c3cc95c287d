// Every other page.
import { accessible, api, done, event, fault, fits, lift, nothingIsCut, open, send, taken, until } from "./bench.mjs";
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

export async function every_page_can_be_used_at_twice_its_size() {
    for (const [path, [title, text]] of Object.entries({ "/events": ["Live events", "delivered"], ...PAGES })) {
        const page = await open(path, { viewport: { width: 680, height: 430 }, deviceScaleFactor: 2 });
        await page.getByRole("heading", { level: 1, name: title }).waitFor();
        await page.getByText(text).first().waitFor();
        await nothingIsCut(page, `${path} at 200 %`);
        await done(page);
    }
}

export async function no_name_in_set_up_is_behind_the_arrow_of_its_choice() {
    const page = await open("/setup?sink=meta");
    await page.getByLabel("What Order Completed becomes").waitFor();
    for (const name of ["CompleteRegistration", "SubmitApplication", "InitiateCheckout"]) {
        await page.getByLabel("What Order Completed becomes").selectOption(name);
        await nothingIsCut(page, name);
    }
    await page.getByLabel("What Order Completed becomes").evaluate((choice) => (choice.style.cssText = "min-width: 0; width: 8rem"));
    await assert.rejects(nothingIsCut(page, "a choice that is too narrow"), /behind its arrow: InitiateCheckout/);
    await done(page);
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
    const seen = await open("/events");
    const row = seen.locator("table.rows tr", { hasText: id });
    await row.locator(".mark", { hasText: "test" }).waitFor();
    await done(seen);
    await page.getByRole("link", { name: "Meta’s answer, among the live events" }).click();
    await page.locator(".panel .verdict .mark").waitFor();
    const answer = page.getByRole("tabpanel");
    await answer.getByText("HTTP status").waitFor();
    assert.match(await answer.innerText(), /Trace id\s+\S{6}/);
    await accessible(page, "events-test");
    await page.goBack();
    await page.getByLabel("One event, as its sender writes it").fill('{"event": ');
    await page.getByRole("button", { name: "Show what would be sent" }).click();
    await page.getByRole("alert").getByText(/line 1, column/).waitFor();
    await accessible(page, "try-mistake");
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
    await nothingIsCut(page, "the dialog");
    await dialog.getByRole("textbox").fill("meta");
    await dialog.getByRole("button", { name: "Delete them" }).click();
    await page.getByRole("button", { name: "Delete …: too_old, meta" }).waitFor({ state: "detached" });
    await page.locator("section", { hasText: "hotel" }).locator("td a").first().click();
    await page.getByRole("region", { name: "Letters", exact: true }).locator("tbody a").first().click();
    await page.getByRole("region", { name: "Letter", exact: true }).getByText("Became a letter").waitFor();
    await accessible(page, "letters-open");
    await done(page);
}

export async function the_badge_counts_the_letters_that_there_are() {
    const count = async () => {
        const { body } = await api("letters");
        return body.sinks.reduce((sum, sink) => sum + sink.letters, 0);
    };
    await send(event(randomUUID(), { timestamp: "2001-01-01T00:00:00Z" }));
    const page = await open("/delivery");
    const badge = page.locator("#letters-badge");
    const isRight = async () => (await badge.innerText()) === (await count()).toLocaleString("en-US");
    await until("the badge has what the server counts", isRight);
    const { body } = await api("letters");
    const group = body.sinks.find((sink) => sink.sink === "meta").groups.find((group) => group.reason === "too_old");
    const purge = { method: "DELETE", headers: { "content-type": "application/json" }, body: JSON.stringify({ reason: group.reason, confirm: "meta" }) };
    assert.equal((await api("letters/meta", purge)).status, 200);
    await until("the badge has less after a purge", isRight);
    await done(page);
}

export async function the_token_is_checked_and_the_answer_is_in_plain_words() {
    const page = await open("/setup?sink=meta");
    await page.getByRole("button", { name: "Check the token" }).click();
    await page.getByText("Meta takes the token of the running sink").waitFor();
    await fault({ type: "token_revoked" }, 1000);
    await page.getByRole("button", { name: "Check the token" }).click();
    await page.getByText("until somebody acts: ").waitFor();
    await accessible(page, "setup-check");
    await lift();
    await done(page);
}

export async function presets_are_cards_with_what_their_events_become() {
    const { body } = await api("catalog");
    const page = await open("/setup?sink=meta");
    for (const preset of body.sinks.find((sink) => sink.type === "meta_conversions").presets) {
        const card = page.locator(".preset", { has: page.getByText(preset.name, { exact: true }) });
        await card.getByText(preset.description).waitFor();
        for (const name of preset.becomes) assert.ok((await card.innerText()).includes(name), name);
    }
    await page.locator(".preset input[value=travel]").check();
    await page.getByLabel("What Booking Completed becomes").waitFor();
    await page.getByRole("button", { name: "undo: preset" }).click();
    await page.getByLabel("What Order Completed becomes").waitFor();
    assert.ok(await page.locator(".preset input[value=retail]").isChecked());
    await done(page);
}

export async function a_parameter_has_the_paths_of_the_preset_and_how_often_it_had_a_value() {
    const watching = await open("/events");
    await watching.getByText("counts are exact").waitFor();
    await send(event(randomUUID()), event(randomUUID()));
    const page = await open("/setup?sink=meta");
    await page.getByText("Where the preset looks for each parameter").click();
    const row = page.locator(".presetfields tr", { has: page.getByText("custom_data.value", { exact: true }) });
    await row.getByText("properties.total").waitFor();
    const { body } = await until("events are explained", async () => {
        const answer = await api("fields?sink=meta");
        return answer.body.events > 0 && answer;
    });
    await until("the count is there", async () => {
        const figure = Number((await row.locator("td.n").innerText()).replace(",", ""));
        return figure >= body.parameters["custom_data.value"].events;
    });
    await accessible(page, "setup-fields");
    await row.getByRole("button", { name: "Change: custom_data.value" }).click();
    const own = page.getByLabel("Paths of custom_data.value");
    assert.match(await own.inputValue(), /^properties\.total\.amount, properties\.total, /);
    await page.getByText(/preset: properties/).waitFor();
    await page.getByRole("button", { name: "undo: custom_data.value" }).click();
    await done(watching);
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
