// The stream of events: its first row, hidden pages, and more pages than may follow it.
import { accessible, done, event, open, send, taken, token, until, url } from "./bench.mjs";
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";

/** Streams that are open at the same time; the server's bound. */
const MAX_STREAMS = 8;
/** Messages of a second. */
const TICKS_A_SECOND = 4;

/** A stream of this process; `null` where the server has no place for it. */
async function follow() {
    const abort = new AbortController();
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${url}/api/v1/events/stream`, { headers, signal: abort.signal });
    if (response.status === 429) return null;
    assert.equal(response.status, 200);
    return { close: () => abort.abort(), body: response.body };
}

/** The places for streams that are free. */
async function free() {
    const streams = [];
    for (;;) {
        const stream = await follow();
        if (!stream) break;
        streams.push(stream);
    }
    streams.forEach((stream) => stream.close());
    return streams.length;
}

const row = (page, id) => page.locator("table.rows tr", { hasText: id });

/** What a browser tells a page whose tab is put behind another, or comes back; without a window, it never does so itself. */
async function setHidden(page, isHidden) {
    await page.evaluate((isHidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
        Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (isHidden ? "hidden" : "visible") });
        document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
}

export async function an_event_is_in_the_messages_of_the_next_second_and_then_in_the_list() {
    const page = await open("/events");
    await page.getByText("counts are exact").waitFor();
    const stream = await until("a place", follow);
    const name = `Coffee Brewed ${randomUUID().slice(0, 4).replace(/\d/g, "x")}`;
    // Not delivered, so that only the way to the page counts.
    await send(event(randomUUID(), { event: name }));
    let text = "";
    let ticks = 0;
    for await (const chunk of stream.body) {
        text += new TextDecoder().decode(chunk);
        ticks = text.split("\n\n").length - 1;
        if (text.includes(name)) break;
    }
    stream.close();
    assert.ok(ticks <= TICKS_A_SECOND, `${ticks} messages`);
    await page.getByText(name).waitFor();
    await done(page);
}

export async function a_hidden_page_follows_nothing_and_resumes_when_it_is_seen() {
    const page = await open("/events");
    await page.getByText("counts are exact").waitFor();
    await until("the page follows", async () => (await free()) === MAX_STREAMS - 1);
    await setHidden(page, true);
    await until("the page has left its place", async () => (await free()) === MAX_STREAMS);
    const id = randomUUID();
    await send(event(id));
    await until("it is delivered", async () => (await taken()).some((line) => line.includes(id)));
    assert.equal(await row(page, id).count(), 0, "a hidden page gets no row");
    await setHidden(page, false);
    await row(page, id).getByText("delivered").waitFor();
    assert.equal(await row(page, id).count(), 1);
    assert.equal(await page.getByText("The stream is lost").count(), 0);
    await until("the page follows again", async () => (await free()) === MAX_STREAMS - 1);
    await done(page);
}

export async function a_page_that_finds_no_place_says_so_plainly_and_shows_the_latest_rows() {
    const streams = await until("every place is free", async () => {
        if ((await free()) < MAX_STREAMS) return null;
        const all = [];
        for (let i = 0; i < MAX_STREAMS; i += 1) all.push(await follow());
        if (all.every(Boolean)) return all;
        all.forEach((stream) => stream?.close());
        return null;
    });
    const page = await open("/events");
    await page.getByText("No live rows here: as many pages and programs as the server allows").waitFor();
    await accessible(page, "events-full");
    const id = randomUUID();
    await send(event(id));
    // No stream brings it: the page asks for the list when it tries again.
    await row(page, id).first().waitFor();
    streams.forEach((stream) => stream.close());
    await page.getByText("No live rows here").waitFor({ state: "detached" });
    await done(page);
}
