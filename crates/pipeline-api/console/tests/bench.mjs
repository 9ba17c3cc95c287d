// What the tests in a browser share: one browser, the running pipeline, and how to wait for something.
import { violationsIn } from "./axe.mjs";
import { chromium } from "playwright-core";
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";

/** Ends a test that hangs; nothing is timed with it. */
export const DEADLINE_MS = 30_000;

const { CONSOLE_URL, CONSOLE_TOKEN, EVENTS_URL, SANDBOX_URL, SCREENSHOTS, CHROMIUM, ASSETS } = process.env;
export const url = CONSOLE_URL;
export const token = CONSOLE_TOKEN;

export const browser = await chromium.launch({ executablePath: CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** A page that has the token. What breaks its policy, throws or logs an error is collected in `page.faults`. */
export async function open(path, options = {}, at = url) {
    const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...options });
    // While pages are written, files of this folder come in the place of those that are compiled in.
    if (ASSETS) {
        await context.route(/\/assets\//, async (route) => {
            const name = new URL(route.request().url()).pathname.slice("/assets/".length);
            const response = await route.fetch();
            await route.fulfill({ response, body: await readFile(join(ASSETS, name)) });
        });
    }
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    page.faults = [];
    page.outside = [];
    page.on("pageerror", (error) => page.faults.push(String(error)));
    page.on("console", (message) => {
        // An answer that is an error is shown by the page.
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) page.faults.push(message.text());
    });
    page.on("request", (request) => {
        if (!request.url().startsWith(at) && !request.url().startsWith("data:")) page.outside.push(request.url());
    });
    await page.goto(`${at}${path}#token=${token}`);
    await page.waitForSelector("main h1");
    return page;
}

/** Closes a page that did nothing it must not do. */
export async function done(page) {
    assert.deepEqual(page.faults, [], "errors in the page");
    assert.deepEqual(page.outside, [], "requests to elsewhere");
    await page.context().close();
}

/** Waits until this is true; where much must happen before, for as long as the load lasts besides. */
export async function until(what, isTrue) {
    const end = Date.now() + DEADLINE_MS + 1000 * Number(process.env.LOAD_SECS ?? 0);
    for (;;) {
        const value = await isTrue();
        if (value) return value;
        assert.ok(Date.now() < end, `not in time: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 25));
    }
}

/** What the api answers. */
export async function api(path, init = {}) {
    const headers = { authorization: `Bearer ${token}`, ...init.headers };
    const response = await fetch(`${url}/api/v1/${path}`, { ...init, headers });
    return { status: response.status, body: await response.json() };
}

/** An order, as a shop sends it, with these changes. */
export function event(id, changes = {}) {
    return {
        type: "track",
        event: "Order Completed",
        messageId: id,
        timestamp: new Date().toISOString(),
        anonymousId: randomUUID(),
        properties: { order_id: `order-${id}`, currency: "EUR", value: 12.5, products: [{ product_id: "sku-1", price: 12.5, quantity: 1 }] },
        context: {
            ip: "203.0.113.7",
            userAgent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
            page: { url: "https://shop.example/thanks" },
            consent: { marketing: true },
            traits: { email: `${id}@shop.example` },
        },
        ...changes,
    };
}

export async function send(...events) {
    const headers = { "content-type": "application/json" };
    const response = await fetch(EVENTS_URL, { method: "POST", headers, body: JSON.stringify(events) });
    assert.equal(response.status, 200, await response.text());
}

export async function fault(fault, times) {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ fault, times });
    const response = await fetch(`${SANDBOX_URL}/sandbox/faults`, { method: "POST", headers, body });
    assert.equal(response.status, 204, await response.text());
}

export const lift = () => fetch(`${SANDBOX_URL}/sandbox/faults`, { method: "DELETE" });

/** The events that the sandbox took, as it received them. */
export async function taken() {
    const response = await fetch(`${SANDBOX_URL}/sandbox/events`);
    return (await response.text()).split("\n").filter(Boolean);
}

/** A way to the pipeline that can be cut. */
export async function proxy() {
    const to = new URL(url);
    const open = new Set();
    let isCut = false;
    const server = createServer((near) => {
        if (isCut) return near.destroy();
        const far = connect(Number(to.port), to.hostname);
        for (const [from, into] of [[near, far], [far, near]]) {
            open.add(from);
            from.on("error", () => {});
            from.on("close", () => into.destroy());
            from.pipe(into);
        }
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return {
        url: `http://127.0.0.1:${server.address().port}`,
        cut() {
            isCut = true;
            open.forEach((socket) => socket.destroy());
            open.clear();
        },
        mend() {
            isCut = false;
        },
        close() {
            open.forEach((socket) => socket.destroy());
            server.close();
        },
    };
}

/** No violation of WCAG 2.2 AA in light and dark. */
export async function accessible(page, name) {
    for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        // Colors fade; what fades is neither old nor new.
        await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
        const violations = await violationsIn(page);
        const told = violations.map((it) => `${it.id}: ${it.nodes.map((node) => `${node.html}\n  ${node.failureSummary}`).join("\n")}`);
        assert.deepEqual(told, [], `${name}, ${colorScheme}`);
        await shoot(page, `${name}-${colorScheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
}

/** A picture for the documentation, where they are wanted. */
export async function shoot(page, name) {
    if (!SCREENSHOTS) return;
    await mkdir(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

/** Nothing is wider than the window, once everything has taken its new size. */
export async function fits(page, name) {
    const widths = () => page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    await until(`${name} fits`, async () => {
        const [is, may] = await widths();
        return is <= may;
    });
}

/** As `fits`, and no text is cut: a browser that shows everything twice as large has half of the room. */
export async function nothingIsCut(page, name) {
    await fits(page, name);
    const cut = () =>
        page.evaluate(() => {
            const scrolls = (element) => {
                for (let it = element.parentElement; it; it = it.parentElement) {
                    if (["auto", "scroll"].includes(getComputedStyle(it).overflowX)) return true;
                }
                return false;
            };
            const context = document.createElement("canvas").getContext("2d");
            const width = (text, { fontStyle, fontWeight, fontSize, fontFamily }) => {
                context.font = `${fontStyle} ${fontWeight} ${fontSize} ${fontFamily}`;
                return context.measureText(text).width;
            };
            const found = [];
            for (const dialog of document.querySelectorAll("dialog[open]")) {
                if (dialog.scrollWidth > dialog.clientWidth + 1) found.push(`cut: ${dialog.innerHTML.slice(0, 160)}`);
            }
            for (const element of document.querySelectorAll("h1, h2, h3, p, label, legend, button, a, dt, dd, li, summary, input, select, .hint, .tile b")) {
                const box = element.getBoundingClientRect();
                if (box.width === 0 || element.matches(".skip")) continue;
                const told = element.outerHTML.slice(0, 160);
                const style = getComputedStyle(element);
                if (!scrolls(element) && (box.right > innerWidth + 1 || box.left < -1)) found.push(`outside: ${told}`);
                // What ends with an ellipsis can be read otherwise: in its title, or behind its link.
                const isCut = style.overflowX === "hidden" && style.textOverflow !== "ellipsis";
                if (isCut && element.scrollWidth > element.clientWidth + 1) found.push(`cut: ${told}`);
                if (element instanceof HTMLSelectElement) {
                    const arrow = 20;
                    const room = element.clientWidth - arrow - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
                    const text = element.selectedOptions[0]?.text ?? "";
                    if (width(text, style) > room) found.push(`behind its arrow: ${text}`);
                }
            }
            return found;
        });
    assert.deepEqual(await cut(), [], name);
}
