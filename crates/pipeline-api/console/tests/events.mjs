// The page of live events.
import { accessible, api, done, event, fault, fits, lift, nothingIsCut, open, proxy, send, shoot, taken, until } from "./bench.mjs";
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";

const row = (page, id) => page.locator("table.rows tr", { hasText: id });
const fateOf = async (page, id) => (await row(page, id).allTextContents()).join("\n");

export async function each_fate_appears_live_with_its_reason() {
    const page = await open("/events");
    await page.getByText("counts are exact").waitFor();
    const [sent, again] = [randomUUID(), randomUUID()];
    await send(event(sent), event(randomUUID(), { event: "Refused Thing", context: { ...event("").context, consent: { marketing: false } } }));
    await row(page, sent).getByText("delivered").waitFor();
    await page.locator("tr", { hasText: "Refused Thing" }).getByText("filtered").first().waitFor();
    const old = randomUUID();
    await send(event(old, { timestamp: "2001-01-01T00:00:00Z" }));
    await row(page, old).getByText("rejected").waitFor();
    assert.match(await row(page, old).locator(".why").innerText(), /\w/, "a rejected row says why");
    await fault({ type: "graph_error", status: 500, code: 2 }, 1);
    await send(event(again));
    await row(page, again).getByText("retrying").first().waitFor();
    await row(page, again).getByText("delivered").waitFor();
    await done(page);
}

export async function counters_equal_the_servers() {
    const page = await open("/events");
    await page.waitForFunction(() => /\d/.test(document.querySelector(".chip.delivered")?.title ?? ""));
    await until("the same figures", async () => {
        const { body } = await api("status");
        const counts = body.sinks.map((sink) => sink.counts);
        const sum = (of) => counts.reduce((sum, it) => sum + of(it), 0);
        const total = (map) => Object.values(map).reduce((a, b) => a + b, 0);
        const expected = [sum((it) => it.delivered), sum((it) => total(it.filtered)), sum((it) => total(it.rejected))];
        const titles = await page.locator(".chip").evaluateAll((chips) => chips.slice(0, 3).map((chip) => chip.title));
        return titles.every((title, i) => title === `${expected[i].toLocaleString("en-US")} since the start`);
    });
    await done(page);
}

export async function an_amount_has_the_decimals_of_its_currency_in_the_list_and_in_the_panel() {
    const of = (currency, value) => {
        const id = randomUUID();
        const own = event(id);
        return { id, currency, value, body: { ...own, properties: { ...own.properties, currency, value } } };
    };
    const amounts = [
        [of("EUR", 12.5), "12.50 EUR"],
        [of("JPY", 1250), "1,250 JPY"],
        [of("KWD", 1.5), "1.500 KWD"],
    ];
    await send(...amounts.map(([it]) => it.body));
    const page = await open("/events");
    for (const [it, shown] of amounts) {
        const cell = row(page, it.id).locator("td.value").first();
        await cell.filter({ hasText: shown }).waitFor();
        assert.equal((await cell.innerText()).trim(), shown);
    }
    const [last, shown] = amounts[2];
    await row(page, last.id).first().click();
    await page.locator(".panel .facts").getByText(shown, { exact: true }).waitFor();
    await done(page);
}

export async function a_click_on_a_row_opens_the_event_and_its_address_can_be_sent() {
    const id = randomUUID();
    await send(event(id));
    const page = await open("/events");
    await row(page, id).click();
    await page.locator(".panel .facts").getByText(id).waitFor();
    assert.match(page.url(), /\/events\?event=\d+$/);
    await accessible(page, "events-panel");
    await page.setViewportSize({ width: 680, height: 430 });
    await nothingIsCut(page, "an event at 200 %");
    await page.setViewportSize({ width: 1360, height: 860 });
    for (const tab of ["Meta’s answer", "Fields", "History"]) {
        await page.getByRole("tab", { name: tab }).click();
        assert.equal(await page.getByRole("tab", { name: tab }).getAttribute("aria-selected"), "true");
        assert.ok((await page.getByRole("tabpanel").innerText()).trim().length > 0, `${tab} is not empty`);
        if (tab === "Fields") await accessible(page, "events-fields");
    }
    const other = await open(new URL(page.url()).pathname + new URL(page.url()).search);
    await other.locator(".panel .facts").getByText(id).waitFor();
    await done(other);
    await done(page);
}

export async function as_sent_is_what_the_sandbox_received() {
    const id = randomUUID();
    await send(event(id));
    const received = await until("it is delivered", async () => (await taken()).find((line) => JSON.parse(line).event_id?.includes(id)));
    const page = await open("/events");
    await row(page, id).click();
    await page.locator(".panel .facts").getByText(id).waitFor();
    const seq = new URL(page.url()).searchParams.get("event");
    const { body } = await api(`events/${seq}`);
    if (body.payload_text === undefined) {
        await page.getByText("The payload is not kept for this event.").waitFor();
    } else {
        await page.getByRole("button", { name: "As sent" }).click();
        assert.equal(await page.locator("#as-sent").innerText(), received);
    }
    await done(page);
}

export async function nothing_moves_while_the_list_is_paused() {
    const page = await open("/events");
    const [before, meanwhile] = [randomUUID(), randomUUID()];
    await send(event(before));
    await row(page, before).getByText("delivered").waitFor();
    await page.keyboard.press("Space");
    await send(event(meanwhile));
    const resume = page.getByRole("button", { name: /^Resume \(\d+ new\)$/ });
    await resume.waitFor();
    assert.equal(await row(page, meanwhile).count(), 0);
    await resume.click();
    await row(page, meanwhile).first().waitFor();
    await done(page);
}

export async function filters_are_in_the_address_and_fit_what_is_shown() {
    const page = await open("/events");
    await page.locator(".chip.rejected").click();
    assert.match(page.url(), /status=rejected/);
    await page.waitForFunction(() => document.querySelector("table.rows .fate.rejected") && !document.querySelector("table.rows .fate.delivered"));
    const { body } = await api("events?status=rejected&limit=1");
    await page.keyboard.press("/");
    await page.keyboard.type("no such event at all");
    await page.getByText("No event here fits the filters.").waitFor();
    await accessible(page, "events-empty");
    await page.getByText("Show all").click();
    await page.waitForFunction(() => document.querySelector("table.rows .fate.delivered"));
    assert.equal(new URL(page.url()).search, "");
    const other = await open(`/events?reason=${body.events[0].reason}`);
    await other.waitForFunction(() => document.querySelectorAll("table.rows tbody tr").length > 0);
    assert.equal(await other.locator("table.rows .fate.delivered").count(), 0);
    await done(other);
    await done(page);
}

export async function the_keyboard_alone_is_enough() {
    const page = await open("/events");
    await page.waitForSelector("table.rows tbody tr");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    const second = await page.evaluate(() => document.activeElement.dataset.seq);
    assert.ok(second, "an event has the focus");
    await page.keyboard.press("Enter");
    await page.locator(".panel h2").waitFor();
    assert.equal(new URL(page.url()).searchParams.get("event"), second);
    await page.keyboard.press("j");
    assert.notEqual(new URL(page.url()).searchParams.get("event"), second);
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector(".panel"));
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    for (const [key, path] of Object.entries({ d: "/delivery", q: "/quality", l: "/letters", s: "/setup", p: "/pipeline", t: "/try", e: "/events" })) {
        await page.keyboard.press("g");
        await page.keyboard.press(key);
        await page.waitForFunction((path) => location.pathname === path, path);
    }
    await until("the search has the focus", async () => {
        await page.keyboard.press("/");
        return page.evaluate(() => document.activeElement.id === "search");
    });
    await page.keyboard.type("gd?");
    assert.equal(new URL(page.url()).pathname, "/events", "shortcuts are off in a field");
    await done(page);
}

export async function markup_in_a_name_is_text() {
    const page = await open("/events");
    const name = "<img src=x onerror=fail()>";
    await send(event(randomUUID(), { event: name }));
    await page.getByText(name).first().waitFor();
    await page.getByText(name).first().click();
    await page.locator(".panel h2", { hasText: name }).waitFor();
    assert.equal(await page.locator("img").count(), 0);
    await done(page);
}

export async function a_blocked_sink_is_in_the_header_and_its_events_are_held() {
    const page = await open("/events");
    await page.locator(".dot").getByText("sending").waitFor();
    await fault({ type: "token_revoked" }, 1000);
    const id = randomUUID();
    await send(event(id));
    await page.locator(".dot.blocked").waitFor();
    await page.locator(".attention .finding").first().waitFor();
    await row(page, id).getByText("held").first().waitFor();
    await accessible(page, "events-blocked");
    await lift();
    await page.locator(".dot").getByText("sending").waitFor();
    await done(page);
}

export async function a_stream_that_is_cut_is_told_and_resumes_without_a_row_twice() {
    const way = await proxy();
    const page = await open("/events", {}, way.url);
    await page.waitForSelector("table.rows tbody tr");
    way.cut();
    await page.getByText("The stream is lost since").waitFor();
    await accessible(page, "events-lost");
    const id = randomUUID();
    await send(event(id));
    await until("it is delivered", async () => (await taken()).some((line) => line.includes(id)));
    way.mend();
    await row(page, id).getByText("delivered").waitFor();
    await page.getByText("The stream is lost since").waitFor({ state: "detached" });
    const seqs = await page.locator("a[data-seq]").evaluateAll((links) => links.map((link) => link.dataset.seq));
    assert.equal(new Set(seqs).size, seqs.length);
    await done(page);
    way.close();
}

export async function the_list_fits_a_telephone() {
    const page = await open("/events", { viewport: { width: 400, height: 800 } });
    await page.waitForSelector("table.rows tbody tr");
    await fits(page, "/events");
    await shoot(page, "events-400");
    await page.locator("table.rows tbody tr").first().click();
    await page.locator(".panel .facts").waitFor();
    await fits(page, "an event");
    await done(page);
}

export async function the_list_is_accessible() {
    const page = await open("/events");
    await page.waitForSelector("table.rows tbody tr");
    await accessible(page, "events");
    await done(page);
}

export async function without_the_token_the_page_asks_for_it() {
    const page = await open("/events");
    const { context } = { context: await page.context().browser().newContext() };
    const bare = await context.newPage();
    await bare.goto(new URL("/events", page.url()).href);
    await bare.getByText("This server wants its token.").waitFor();
    await accessible(bare, "token");
    await bare.getByLabel("Token").fill(process.env.CONSOLE_TOKEN);
    await bare.getByRole("button", { name: "Use it" }).click();
    await bare.waitForSelector("table.rows tbody tr");
    assert.equal(await bare.evaluate(() => location.hash), "");
    await context.close();
    await done(page);
}
