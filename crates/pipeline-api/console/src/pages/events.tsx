// Live events: every fate is a row, counts are exact, and the page says which rows it shows.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, tokenVersion, type Refusal } from "../api";
import { UNKNOWN, clock, count, money, plural, rate } from "../format";
import { onKeys } from "../keys";
import { Copy, Empty, FateIcon, FateMark, SinkChoice, TestMark, Title, Trouble } from "../parts";
import { go, query, withQuery } from "../route";
import { label, status } from "../state";
import { follow, type Lost } from "../stream";
import { FATES, type Fate, type Row, type SinkCounts, type Tick } from "../types";
import { Panel } from "./panel";

/** Rows that the list holds. */
const MAX_ROWS = 200;
const MINUTE_MS = 60_000;
/** The pause in typing after which the server is asked. */
const SETTLE_MS = 250;
/** How often the counters of the last minute are kept. */
const KEPT_MS = 1000;

interface Look {
    at: number;
    totals: Record<Fate, number>;
}

const COUNTED: Record<Fate, keyof SinkCounts> = {
    delivered: "delivered",
    filtered: "filtered",
    rejected: "rejected",
    retrying: "retried",
    held: "held",
};

function totals(counts: Record<string, SinkCounts>, sink: string): Record<Fate, number> {
    const sinks = Object.entries(counts).filter(([name]) => !sink || name === sink);
    const total = (fate: Fate) => sinks.reduce((sum, [, counts]) => sum + (counts[COUNTED[fate]] ?? 0), 0);
    return Object.fromEntries(FATES.map((fate) => [fate, total(fate)])) as Record<Fate, number>;
}

/** Whether the search finds a row: part of its id or of one of its names. */
function isFound(row: Row, search: string): boolean {
    const texts = [row.event_id, row.name, row.destination_event];
    return texts.some((text) => text?.toLowerCase().includes(search));
}

/** Newest first, each once. */
function merge(newer: Row[], older: Row[]): Row[] {
    const known = new Set(newer.map((row) => row.seq));
    const rows = [...newer, ...older.filter((row) => !known.has(row.seq))];
    return rows.sort((a, b) => b.seq - a.seq).slice(0, MAX_ROWS);
}

interface Feed {
    rows: Row[] | null;
    waiting: Row[];
    error: Refusal | null;
    lost: Lost | null;
    sampled: { delivered?: number; filtered?: number };
    notShown: number;
    looks: Look[];
    resume: () => void;
}

function useFeed(filters: string, sink: string, isHeld: boolean): Feed {
    const [rows, setRows] = useState<Row[] | null>(null);
    const [waiting, setWaiting] = useState<Row[]>([]);
    const [error, setError] = useState<Refusal | null>(null);
    const [lost, setLost] = useState<Feed["lost"]>(null);
    const [sampled, setSampled] = useState<Feed["sampled"]>({});
    const [notShown, setNotShown] = useState(0);
    const [looks, setLooks] = useState<Look[]>([]);
    const held = useRef(isHeld);
    held.current = isHeld;
    const version = tokenVersion.value;

    useEffect(() => {
        let isOver = false;
        setRows(null);
        setWaiting([]);
        setNotShown(0);
        const list = async () => {
            try {
                const found = await ask<{ events: Row[]; sampled: Feed["sampled"] }>(`events?limit=${MAX_ROWS}${filters}`);
                if (isOver) return;
                setRows((rows) => merge(rows ?? [], found.events));
                setSampled(found.sampled ?? {});
                setError(null);
            } catch (refused) {
                if (!isOver) setError(refused as Refusal);
            }
        };
        const tick = (tick: Tick) => {
            const at = Date.now();
            setLooks((looks) => {
                const look = { at, totals: totals(tick.counts, sink) };
                const kept = looks.filter((it) => at - it.at <= MINUTE_MS + KEPT_MS);
                const last = kept[kept.length - 2];
                return last && at - last.at < KEPT_MS ? [...kept.slice(0, -1), look] : [...kept, look];
            });
            setNotShown((n) => n + tick.not_shown + tick.lagged);
            if (tick.events.length === 0) return;
            if (held.current) setWaiting((waiting) => merge(tick.events, waiting));
            else setRows((rows) => merge(tick.events, rows ?? []));
        };
        void list();
        const sampling = window.setInterval(() => {
            if (!document.hidden) void ask<{ sampled: Feed["sampled"] }>("events?limit=1").then((it) => setSampled(it.sampled ?? {}), () => {});
        }, 10_000);
        const lost = (lost: Lost | null) => {
            setLost(lost);
            if (lost?.isFull && !held.current) void list();
        };
        const stop = follow(filters.replace("&", "?"), { tick, lost });
        return () => {
            isOver = true;
            clearInterval(sampling);
            stop();
        };
    }, [filters, sink, version]);

    useEffect(() => setLooks([]), [sink]);
    const resume = () => {
        setRows((rows) => merge(waiting, rows ?? []));
        setWaiting([]);
    };
    useEffect(() => {
        if (!isHeld && waiting.length > 0) resume();
    }, [isHeld]);
    return { rows, waiting, error, lost, sampled, notShown, looks, resume };
}

/** A text, once it has not changed for a moment. */
function useSettled(text: string): string {
    const [settled, setSettled] = useState(text);
    useEffect(() => {
        const timer = window.setTimeout(() => setSettled(text), SETTLE_MS);
        return () => clearTimeout(timer);
    }, [text]);
    return settled;
}

export function EventsPage() {
    const params = query.value;
    const [sink, fate, reason] = [params.get("sink") ?? "", params.get("status") as Fate | null, params.get("reason")];
    const search = (params.get("q") ?? "").trim().toLowerCase();
    const asksFor = useSettled(search);
    const open = params.get("event");
    const [isPaused, setPaused] = useState(false);
    const [isScrolled, setScrolled] = useState(false);
    const list = useRef<HTMLDivElement>(null);
    const filters = useMemo(() => {
        const asked = new URLSearchParams();
        if (sink) asked.set("sink", sink);
        if (fate && FATES.includes(fate)) asked.set("status", fate);
        if (reason) asked.set("reason", reason);
        if (asksFor) asked.set("q", asksFor);
        const text = asked.toString();
        return text ? `&${text}` : "";
    }, [sink, fate, reason, asksFor]);
    const feed = useFeed(filters, sink, isPaused || isScrolled || open !== null);
    const rows = (feed.rows ?? []).filter((row) => !search || isFound(row, search));

    const resume = () => {
        setPaused(false);
        feed.resume();
        list.current?.scrollTo({ top: 0 });
    };
    const close = () => {
        go(withQuery({ event: null }));
        list.current?.querySelector<HTMLElement>(`[data-seq="${open}"]`)?.focus();
    };
    const move = (by: number) => {
        const links = [...(list.current?.querySelectorAll<HTMLAnchorElement>("a[data-seq]") ?? [])];
        const at = links.findIndex((link) => link === document.activeElement || (open !== null && link.dataset["seq"] === open));
        const next = links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + by))];
        next?.focus();
        if (open !== null && next) go(withQuery({ event: next.dataset["seq"]! }), false);
    };
    const keys = useRef<(event: KeyboardEvent) => boolean>(() => false);
    keys.current = (event) => {
        const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
        const isInTabs = (event.target as Element).closest("[role=tablist], pre") !== null;
        if (by !== undefined && !isInTabs) move(by);
        else if (event.key === " ") (isPaused ? resume() : setPaused(true));
        else if (event.key === "/") document.getElementById("search")?.focus();
        else if (event.key === "Escape" && open !== null) close();
        else return false;
        return true;
    };
    useEffect(() => onKeys((event) => keys.current(event)), []);

    const isFiltered = Boolean(sink || fate || reason || search);
    return (
        <>
            <Heading feed={feed} />
            <Bar feed={feed} isPaused={isPaused} resume={resume} pause={() => setPaused(true)} sink={sink} fate={fate} reason={reason} />
            {feed.lost && <LostNotice lost={feed.lost} />}
            <Trouble error={feed.error} what="single events" />
            <div class={open === null ? "split" : "split opened"}>
                <div class="list card" ref={list} onScroll={(event) => setScrolled(event.currentTarget.scrollTop > 4)}>
                    <Rows rows={rows} open={open} isNarrow={open !== null} />
                    {feed.rows && rows.length === 0 && <Nothing isFiltered={isFiltered} />}
                </div>
                {open !== null && <Panel key={open} seq={open} close={close} />}
            </div>
        </>
    );
}

function LostNotice({ lost }: { lost: Lost }) {
    return (
        <p class="notice bad" role="status">
            {lost.isFull
                ? "No live rows here: as many pages and programs as the server allows follow the events already. Close one of them. This page tries " +
                  "again every few seconds, and shows the latest rows meanwhile."
                : `The stream is lost since ${clock(lost.since.toISOString())}: ${lost.why}. It is tried again; the rows stay.`}
        </p>
    );
}

function Heading({ feed }: { feed: Feed }) {
    const [first, last] = [feed.looks[0], feed.looks[feed.looks.length - 1]];
    const seconds = first && last ? (last.at - first.at) / 1000 : 0;
    const events = (look: Look) => look.totals.delivered + look.totals.filtered + look.totals.rejected;
    const speed = first && last && seconds >= 1 ? (events(last) - events(first)) / seconds : null;
    const known = [feed.sampled.delivered, feed.sampled.filtered].filter((it): it is number => typeof it === "number");
    const oneIn = Math.max(1, ...known);
    const shown = oneIn > 1 ? `Of the delivered and filtered, 1 in ${count(oneIn)} is shown; of the others, every one` : "Every event is shown";
    return (
        <Title text="Live events">
            <span class="hint">
                newest first · UTC · counts are exact
                {seconds >= 59 ? ", for the last minute" : seconds >= 1 ? `, for the last ${Math.round(seconds)} s` : ""}
            </span>
            <span class="hint right">
                {speed === null ? UNKNOWN : rate(speed)} events/s. {shown}
                {feed.notShown > 0 ? `; ${plural(feed.notShown, "row")} came too fast to be listed.` : "."}
            </span>
        </Title>
    );
}

interface BarProps {
    feed: Feed;
    isPaused: boolean;
    pause: () => void;
    resume: () => void;
    sink: string;
    fate: Fate | null;
    reason: string | null;
}

function Bar({ feed, isPaused, pause, resume, sink, fate, reason }: BarProps) {
    const [first, last] = [feed.looks[0], feed.looks[feed.looks.length - 1]];
    const figure = (fate: Fate) => {
        if (!first || !last) return null;
        return fate === "held" ? last.totals.held : Math.max(0, last.totals[fate] - first.totals[fate]);
    };
    const waiting = feed.waiting.length;
    const sinks = (status.value?.sinks ?? []).filter((sink) => !sink.removed).map((sink) => sink.name);
    return (
        <div class="bar">
            {isPaused || waiting > 0 ? (
                <button type="button" class="primary" onClick={resume}>
                    Resume{waiting > 0 ? ` (${waiting >= MAX_ROWS ? `${MAX_ROWS} or more` : waiting} new)` : ""}
                </button>
            ) : (
                <button type="button" onClick={pause}>
                    Pause
                </button>
            )}
            {FATES.map((it) => (
                <a
                    key={it}
                    class={`chip ${it}`}
                    role="button"
                    aria-pressed={fate === it}
                    href={withQuery({ status: fate === it ? null : it, event: null })}
                    title={last ? `${count(last.totals[it])} ${it === "held" ? "now" : "since the start"}` : ""}
                >
                    <FateIcon fate={it} /> {it} {count(figure(it))}
                </a>
            ))}
            {reason && (
                <a class="chip" href={withQuery({ reason: null, event: null })} title="remove this filter">
                    {label(reason)} ✕
                </a>
            )}
            <span class="push" />
            <SinkChoice sinks={sinks} value={sink} choose={(sink) => go(withQuery({ sink, event: null }))} />
            <input
                id="search"
                type="search"
                placeholder="event id or name"
                aria-label="Search by event id or name"
                value={query.value.get("q") ?? ""}
                onInput={(event) => go(withQuery({ q: event.currentTarget.value, event: null }), false)}
            />
        </div>
    );
}

function Rows({ rows, open, isNarrow }: { rows: Row[]; open: string | null; isNarrow: boolean }) {
    const hasValue = rows.some((row) => row.value !== undefined && row.value !== null);
    const hasSinks = new Set(rows.map((row) => row.sink)).size > 1 || new Set(rows.map((row) => row.source)).size > 1;
    return (
        <table class={`rows ${isNarrow ? "narrow" : ""} ${hasValue ? "valued" : ""} ${hasSinks ? "" : "single"}`}>
            <thead>
                <tr>
                    <th class="time">Time</th>
                    <th class="name">Event</th>
                    <th class="status">Status</th>
                    <th class="why">Why</th>
                    <th class="source">Source</th>
                    <th class="sink">Sink</th>
                    {hasValue && <th class="value">Value</th>}
                    <th class="id">Event id</th>
                </tr>
            </thead>
            <tbody>
                {rows.map((row) => (
                    <Line key={row.seq} row={row} isOpen={open === String(row.seq)} hasValue={hasValue} />
                ))}
            </tbody>
        </table>
    );
}

function Line({ row, isOpen, hasValue }: { row: Row; isOpen: boolean; hasValue: boolean }) {
    const href = withQuery({ event: String(row.seq) });
    const openRow = (event: MouseEvent) => {
        if (!(event.target as Element).closest("a") && !getSelection()?.toString()) go(href);
    };
    return (
        <tr class={isOpen ? "open" : ""} onClick={openRow}>
            <td class="time">{clock(row.time)}</td>
            <td class="name">
                <a href={href} data-seq={row.seq} aria-current={isOpen ? "true" : undefined}>
                    {row.name ?? UNKNOWN}
                    {row.destination_event && <span class="to"> → {row.destination_event}</span>}
                </a>
                {row.test && <TestMark />}
            </td>
            <td class="status">
                <FateMark fate={row.status} />
            </td>
            <td class="why" title={row.reason ? `${label(row.reason)} (${row.reason})` : ""}>
                {row.reason ? label(row.reason) : ""}
            </td>
            <td class="source">{row.source}</td>
            <td class="sink">{row.sink}</td>
            {hasValue && (
                <td class="value">{money(row.value, row.currency)}</td>
            )}
            <td class="id">{row.event_id ?? UNKNOWN}</td>
        </tr>
    );
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
    const sources = status.value?.sources ?? [];
    if (isFiltered) {
        return (
            <Empty title="No event here fits the filters.">
                <p>New events that fit appear by themselves.</p>
                <a class="button" href="/events">
                    Show all
                </a>
            </Empty>
        );
    }
    const web = sources.find((source) => source.address);
    if (web) {
        const line = `curl -X POST -H 'Content-Type: application/json' -d '{"event": "Order Completed", "messageId": "test-1"}' http://${web.address}/v1/events`;
        const isOwn = web.type === "http_server";
        return (
            <Empty title={`No event has come in yet. The source ${web.name} listens on ${web.address}.`}>
                {isOwn && (
                    <>
                        <p>A first event can be sent from a terminal of the machine that it listens on:</p>
                        <pre class="json" tabIndex={0}>
                            {line}
                        </pre>
                        <Copy text={line} />
                    </>
                )}
            </Empty>
        );
    }
    if (sources.length > 0 && sources.every((source) => source.state === "ended")) {
        return <Empty title="The sources have ended, and no event of this run is kept any more." />;
    }
    return <Empty title="No event has come in yet. Events appear here as the sources read them." />;
}
