// What would be sent of an event, why each field is what it is, and what is missing. Nothing is sent before the button that says so.
import { useState } from "preact/hooks";
import { ask, type Refusal } from "../api";
import { UNKNOWN } from "../format";
import { Json } from "../json";
import { Empty, FateMark, Prose, Title, capital } from "../parts";
import { label, status } from "../state";
import type { Explain, Fate, Found } from "../types";
import { Fields } from "./panel";

/** What `map --explain` says of an event. */
export interface Mapped {
    source_event?: string | null;
    outcome: "mapped" | "filtered" | "rejected";
    reason?: string;
    detail?: string;
    event?: unknown;
    explain?: Explain;
    running?: Mapped;
}

interface Sent {
    outcome: string;
    reason?: string;
    detail?: string;
    destination?: string | null;
    event_id?: string;
    event?: unknown;
    /** The number of its row among the live events. */
    seq?: number;
}

/** An order, with made-up values of the kinds that senders write. */
export const example = () =>
    JSON.stringify(
        {
            type: "track",
            event: "Order Completed",
            messageId: "example-1",
            timestamp: new Date().toISOString(),
            anonymousId: "507f191e810c19729de860ea",
            properties: { order_id: "50314", currency: "EUR", total: 27.5, products: [{ product_id: "sku-1", price: 27.5, quantity: 1 }] },
            context: {
                ip: "203.0.113.7",
                userAgent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
                page: { url: "https://shop.example/thanks" },
                consent: { marketing: true },
                traits: { email: "someone@shop.example" },
            },
        },
        null,
        2,
    );

export function TryPage() {
    const sinks = (status.value?.sinks ?? []).filter((sink) => !sink.removed);
    const [text, setText] = useState("");
    const [chosen, setChosen] = useState("");
    const [mapped, setMapped] = useState<Mapped | null>(null);
    const [error, setError] = useState<Refusal | null>(null);
    const sink = chosen || sinks[0]?.name || "";
    const map = () =>
        ask<Mapped>("map", "POST", { sink, event: text }).then(
            (answer) => {
                setMapped(answer);
                setError(null);
            },
            (refused: Refusal) => {
                setMapped(null);
                setError(refused);
            },
        );
    return (
        <>
            <Title text="Try an event">
                <span class="hint">nothing is sent, stored or logged until you send it as a test event</span>
            </Title>
            <div class="two">
                <div>
                    <div class="bar">
                        <label>
                            Sink{" "}
                            <select value={sink} onChange={(event) => setChosen(event.currentTarget.value)}>
                                {sinks.map((it) => (
                                    <option key={it.name}>{it.name}</option>
                                ))}
                            </select>
                        </label>
                        <span class="push" />
                        <button type="button" onClick={() => setText(example())}>
                            Use an example
                        </button>
                    </div>
                    <label for="event">One event, as its sender writes it (JSON)</label>
                    <textarea
                        id="event"
                        rows={20}
                        spellcheck={false}
                        autocomplete="off"
                        value={text}
                        onInput={(event) => setText(event.currentTarget.value)}
                    />
                    <p class="hint">
                        A <a href="/events">live event</a> cannot be taken from the list: what its sender wrote is personal and not kept, only the
                        payload with hashes. “Copy” in an event’s panel gives that, exactly as sent.
                    </p>
                    <div class="bar">
                        <button type="button" class="primary" disabled={!text.trim() || !sink} onClick={map}>
                            Show what would be sent
                        </button>
                    </div>
                    <TestEvent sink={sink} text={text} />
                </div>
                <div class="card pad" aria-live="polite">
                    {error && <Problems error={error} />}
                    {mapped && <MappedView mapped={mapped} />}
                    {!mapped && !error && (
                        <Empty title="What would be sent appears here.">
                            <p class="hint">
                                Paste an event and press “Show what would be sent”. The server maps it as the running sink does: consent, preset
                                and all options.
                            </p>
                        </Empty>
                    )}
                </div>
            </div>
        </>
    );
}

export function Problems({ error }: { error: Refusal }) {
    const listed = (error.problems as Found[]).filter((it) => it.level !== "note");
    const isOfEvent = listed.length > 0 && listed.every((it) => it.path === "event");
    const isAbsent = error.status === 404 && error.code === "not_found";
    return (
        <div class="notice bad" role="alert">
            {isAbsent ? "This server does not map events for a page." : isOfEvent ? "This is not one event:" : `${capital(error.message)}${listed.length > 0 ? ":" : "."}`}
            {listed.map((it) => (
                <div key={it.path + it.problem}>
                    <code>{it.path}</code> <Prose text={`${it.problem}; expected ${it.expected}`} />
                </div>
            ))}
        </div>
    );
}

const FATE: Record<Mapped["outcome"], Fate> = { mapped: "delivered", filtered: "filtered", rejected: "rejected" };

export function MappedView({ mapped }: { mapped: Mapped }) {
    const [tab, setTab] = useState<"payload" | "fields">("payload");
    return (
        <>
            <p class="verdict">
                {mapped.outcome === "mapped" ? (
                    <strong class="delivered">This would be sent.</strong>
                ) : (
                    <FateMark fate={FATE[mapped.outcome]} />
                )}{" "}
                <span class="hint">
                    {mapped.source_event ?? UNKNOWN}
                    {mapped.reason ? ` · ${label(mapped.reason)}` : ""}
                </span>
            </p>
            {mapped.detail && (
                <p class={`notice ${mapped.outcome === "rejected" ? "bad" : ""}`}>
                    <Prose text={mapped.detail} />
                </p>
            )}
            <div class="bar">
                <button type="button" aria-pressed={tab === "payload"} onClick={() => setTab("payload")}>
                    Payload
                </button>
                <button type="button" aria-pressed={tab === "fields"} onClick={() => setTab("fields")}>
                    Fields
                </button>
            </div>
            {tab === "payload" &&
                (mapped.event === undefined ? (
                    <p class="hint">There is no payload: the event would not be sent.</p>
                ) : (
                    <Json value={mapped.event} label="What would be sent" />
                ))}
            {tab === "fields" && <Fields explain={mapped.explain} />}
        </>
    );
}

function TestEvent({ sink, text }: { sink: string; text: string }) {
    const [code, setCode] = useState("");
    const [sent, setSent] = useState<Sent | null>(null);
    const [error, setError] = useState<Refusal | null>(null);
    const send = () =>
        ask<Sent>(`sinks/${encodeURIComponent(sink)}/test-event`, "POST", { event: text, test_event_code: code.trim() }).then(
            (answer) => {
                setSent(answer);
                setError(null);
            },
            (refused: Refusal) => {
                setSent(null);
                setError(refused);
            },
        );
    return (
        <fieldset>
            <legend>Send it as a test event</legend>
            <p class="hint">
                It is sent to Meta with this code and appears under Test Events in Events Manager, where the code comes from. It goes through
                consent and mapping like any other event.
            </p>
            <div class="bar">
                <input
                    aria-label="Test event code"
                    placeholder="TEST12345"
                    autocomplete="off"
                    value={code}
                    onInput={(event) => setCode(event.currentTarget.value)}
                />
                <button type="button" disabled={!code.trim() || !text.trim()} onClick={send}>
                    Send as a test event
                </button>
            </div>
            <div aria-live="polite">
                {error && <Problems error={error} />}
                {sent && (
                    <p class={`notice ${sent.outcome === "delivered" ? "good" : "bad"}`}>
                        {sent.outcome === "delivered" ? "Meta took it." : `${sent.outcome}: ${sent.detail ?? sent.reason ?? UNKNOWN}`}
                        {sent.event_id && (
                            <>
                                {" "}
                                Event id <code>{sent.event_id}</code>.
                            </>
                        )}
                        {sent.seq !== undefined && (
                            <>
                                {" "}
                                <a href={`/events?event=${sent.seq}&tab=answer`}>Meta’s answer, among the live events</a>
                            </>
                        )}
                    </p>
                )}
            </div>
        </fieldset>
    );
}
