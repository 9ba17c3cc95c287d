// One event, from its arrival to Meta's answer.
import { useRef, useState } from "preact/hooks";
import { useAnswer } from "../api";
import { UNKNOWN, bytes, clock, money, plural, span, stamp } from "../format";
import { Json, parse } from "../json";
import { Copy, FateMark, Prose, TestMark, Trouble, capital } from "../parts";
import { go, query, withQuery } from "../route";
import { label } from "../state";
import type { Detail, Exchange, Explain } from "../types";

const TABS = { payload: "Payload", answer: "Meta’s answer", fields: "Fields", history: "History" };
type Tab = keyof typeof TABS;

export function Panel({ seq, close }: { seq: string; close: () => void }) {
    const { data, error } = useAnswer<Detail>(`events/${encodeURIComponent(seq)}`);
    return (
        <section class="panel card" aria-label="Event">
            <div class="title">
                <h2>
                    {data ? (data.name ?? "event without a name") : "Event"}
                    {data?.destination_event && <span class="to"> → {data.destination_event}</span>}
                </h2>
                <button type="button" class="close" aria-label="Close" onClick={close}>
                    ✕
                </button>
            </div>
            <Trouble error={error} what="this event" />
            {data && <EventView event={data} />}
        </section>
    );
}

/** Everything that is known of an event. */
export function EventView({ event }: { event: Detail }) {
    const asked = query.value.get("tab") as Tab | null;
    const tab = asked && asked in TABS ? asked : "payload";
    return (
        <>
            <p class="verdict">
                <FateMark fate={event.status} />
                {event.test && <TestMark />}
                {event.reason && (
                    <span class="hint">
                        {" "}
                        · {label(event.reason)} <code>{event.reason}</code>
                    </span>
                )}
            </p>
            {event.detail && (
                <p class={`notice ${event.status === "rejected" ? "bad" : ""}`}>
                    <Prose text={sentence(event.detail)} />
                </p>
            )}
            <Facts event={event} />
            <Tabs tab={tab} fields={Object.keys(event.explain?.sent ?? {}).length} />
            <div role="tabpanel" id="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
                {tab === "payload" && <Payload event={event} />}
                {tab === "answer" && <Answers event={event} />}
                {tab === "fields" && <Fields explain={event.explain} why={event.not_explained} />}
                {tab === "history" && <History event={event} />}
            </div>
        </>
    );
}

const sentence = (text: string) => (/[.!?)]$/.test(text) ? capital(text) : `${capital(text)}.`);

function Facts({ event }: { event: Detail }) {
    const exchange = event.exchange;
    const parts: string[] = [];
    if (exchange?.events !== undefined) parts.push(exchange.events > 1 ? `sent with ${plural(exchange.events - 1, "other")}` : "sent alone");
    if (event.attempt) parts.push(`attempt ${event.attempt}`);
    if (exchange?.ms !== undefined) parts.push(span(exchange.ms));
    return (
        <dl class="facts">
            <dt>Event id</dt>
            <dd>
                <code>{event.event_id ?? UNKNOWN}</code>
            </dd>
            <dt>Came from</dt>
            <dd>
                {event.place ?? event.source}
            </dd>
            {event.received && (
                <>
                    <dt>Came in</dt>
                    <dd>{clock(event.received, 12)} UTC</dd>
                </>
            )}
            <dt>{event.status === "delivered" ? "Delivered" : "Seen"}</dt>
            <dd>{clock(event.time, 12)} UTC</dd>
            <dt>Sink</dt>
            <dd>{event.sink}</dd>
            {typeof event.value === "number" && (
                <>
                    <dt>Value</dt>
                    <dd>{money(event.value, event.currency)}</dd>
                </>
            )}
            {parts.length > 0 && (
                <>
                    <dt>Request</dt>
                    <dd>{parts.join(", ")}</dd>
                </>
            )}
        </dl>
    );
}

function Tabs({ tab, fields }: { tab: Tab; fields: number }) {
    const box = useRef<HTMLDivElement>(null);
    const names = Object.keys(TABS) as Tab[];
    const choose = (name: Tab) => go(withQuery({ tab: name === "payload" ? null : name }), false);
    const key = (event: KeyboardEvent) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        const next = names[(names.indexOf(tab) + by + names.length) % names.length]!;
        choose(next);
        box.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
    };
    return (
        <div class="tabs" role="tablist" ref={box} onKeyDown={key}>
            {names.map((name) => (
                <button
                    key={name}
                    type="button"
                    role="tab"
                    id={`tab-${name}`}
                    aria-selected={name === tab}
                    aria-controls="tabpanel"
                    tabIndex={name === tab ? 0 : -1}
                    onClick={() => choose(name)}
                >
                    {TABS[name]}
                    {name === "fields" && fields > 0 ? ` (${fields})` : ""}
                </button>
            ))}
        </div>
    );
}

function Payload({ event }: { event: Detail }) {
    const [isRaw, setRaw] = useState(false);
    const text = event.payload_text;
    if (!text) {
        const why = event.bytes
            ? `The payload has ${bytes(event.bytes)} and is not shown here.`
            : event.status === "filtered"
              ? "The event was filtered before it was mapped, so there is no payload."
              : "There is no payload: the event was not mapped.";
        return <p class="hint">{why}</p>;
    }
    const value = parse(text);
    return (
        <>
            <div class="bar">
                <span class="hint">
                    {bytes(event.bytes ?? new TextEncoder().encode(text).length)}
                    {isRaw ? ", exactly as sent" : " · grey: hashes, IP address and user agent, shortened here"}
                </span>
                <span class="push" />
                <button type="button" aria-pressed={isRaw} onClick={() => setRaw(!isRaw)}>
                    As sent
                </button>
                <Copy text={text} />
            </div>
            {isRaw || value === undefined ? (
                <pre class="json raw" id="as-sent" tabIndex={0} role="region" aria-label="Payload as sent">
                    {text}
                </pre>
            ) : (
                <Json value={value} label="Payload" />
            )}
        </>
    );
}

function Answers({ event }: { event: Detail }) {
    const attempts = (event.attempts ?? []).filter((it) => it.exchange);
    if (!event.exchange) {
        const why = {
            delivered: "Meta’s answer is not kept for this event.",
            filtered: "The event was filtered here and never sent, so there is no answer.",
            rejected: event.destination_code
                ? "Meta refused it; the whole answer is not kept."
                : "The event was rejected here and not sent, so there is no answer.",
            retrying: "There is no answer that was kept; the event is sent again.",
            held: "The event waits and has not been answered.",
        }[event.status];
        return (
            <>
                <p class="hint">{why}</p>
                {event.destination_code && (
                    <p>
                        Meta’s code: <code>{event.destination_code}</code>
                    </p>
                )}
            </>
        );
    }
    return (
        <>
            <AnswerView answer={event.exchange} />
            {attempts.length > 1 && (
                <>
                    <h3>Every attempt</h3>
                    <ol class="history">
                        {attempts.map((it) => (
                            <li key={it.attempt}>
                                <code>{clock(it.time, 12)}</code> {attemptText(it.exchange!)}
                            </li>
                        ))}
                    </ol>
                </>
            )}
        </>
    );
}

function AnswerView({ answer }: { answer: Exchange }) {
    const limits = Object.entries(answer.throttle ?? {});
    const code = [answer.code, answer.subcode].filter((it) => it !== undefined && it !== null).join(" / ");
    return (
        <dl class="facts">
            <dt>HTTP status</dt>
            <dd>{answer.status ?? "no answer"}</dd>
            {answer.events_received !== undefined && answer.events_received !== null && (
                <>
                    <dt>Received</dt>
                    <dd>{plural(answer.events_received, "event")}</dd>
                </>
            )}
            <dt>Took</dt>
            <dd>{span(answer.ms)}</dd>
            {code && (
                <>
                    <dt>Code</dt>
                    <dd>
                        <code>{code}</code>
                    </dd>
                </>
            )}
            <dt>Trace id</dt>
            <dd>
                <code>{answer.trace_id ?? UNKNOWN}</code>
            </dd>
            {answer.message && (
                <>
                    <dt>Message</dt>
                    <dd>{answer.message}</dd>
                </>
            )}
            {limits.length > 0 && (
                <>
                    <dt>Limits</dt>
                    <dd>{limits.map(([name, figure]) => `${name} ${figure}`).join(", ")}</dd>
                </>
            )}
        </dl>
    );
}

const list = (names: string[]) => names.join(", ") || "none";

/** Which parameter came from where, and what was left out and why. */
export function Fields({ explain, why }: { explain: Explain | null | undefined; why?: string }) {
    if (!explain) return <p class="hint">{sentence(why ?? "not kept for this event")}</p>;
    const { carried = {}, absent = {} } = explain.identifiers ?? {};
    const sent = Object.entries(explain.sent ?? {});
    const leftOut = Object.entries(explain.left_out ?? {});
    return (
        <>
            {explain.identifiers && (
                <p class="notice">
                    <strong>Carried to match by:</strong> {list(Object.keys(carried))}.
                    <br />
                    <strong>Missing:</strong> {list(Object.entries(absent).map(([name, it]) => (it.strength ? `${name} (${it.strength})` : name)))}.
                </p>
            )}
            <table class="plain">
                <thead>
                    <tr>
                        <th>Parameter</th>
                        <th>From, and by which rule</th>
                    </tr>
                </thead>
                <tbody>
                    {sent.map(([name, { from, rule }]) => (
                        <tr key={name}>
                            <td>
                                <code>{name}</code>
                            </td>
                            <td>
                                <code>{[from ?? UNKNOWN].flat().join(", ")}</code>
                                <div class="hint">
                                    <Prose text={rule ?? ""} />
                                </div>
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
            {leftOut.length > 0 && (
                <p>
                    <strong>Left out</strong>
                </p>
            )}
            {leftOut.map(([name, left]) => (
                <details key={name} class="leftout">
                    <summary>
                        <code>{name}</code> <span class="hint">{left.why ? label(left.why) : "not among the values that are sent"}</span>
                    </summary>
                    {[left, ...(left.more ?? [])].map((it) => (
                        <p class="hint">
                            {it.from && (
                                <>
                                    <code>{it.from}</code>: {it.detail}
                                </>
                            )}
                            {it.looked_in && (
                                <>
                                    Looked in: <code>{it.looked_in.join(", ")}</code>
                                </>
                            )}
                        </p>
                    ))}
                </details>
            ))}
        </>
    );
}

function attemptText(attempt: Exchange): string {
    const parts = [`attempt ${attempt.attempt ?? UNKNOWN}`];
    if (attempt.status) parts.push(`HTTP ${attempt.status}`);
    if (attempt.ms !== undefined) parts.push(span(attempt.ms));
    if (attempt.message) parts.push(attempt.message);
    return parts.join(", ");
}

/** What the server calls a step, in words. */
const STEPS: Record<string, string> = { received: "came in from", mapped: "mapped to" };

function History({ event }: { event: Detail }) {
    const steps = event.history ?? [];
    if (steps.length > 0) {
        return (
            <ol class="history">
                {steps.map((step) => (
                    <li>
                        <code>{clock(step.time, 12)}</code> {step.attempt ? `attempt ${step.attempt}: ` : ""}
                        {STEPS[step.what] ?? step.what}
                        {step.detail ? `${STEPS[step.what] ? "" : ":"} ${step.detail}` : ""}
                    </li>
                ))}
            </ol>
        );
    }
    return (
        <ol class="history">
            <li>came in from {event.place ?? event.source}</li>
            {event.destination_event && <li>mapped to {event.destination_event}</li>}
            <li>
                <code>{stamp(event.time)}</code> {event.status}
                {event.reason ? `: ${label(event.reason)}` : ""}
            </li>
        </ol>
    );
}
