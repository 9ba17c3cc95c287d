// How delivery goes: figures, the last hour or day, and the reasons for everything that was not delivered.
import "../kit";
import { useMemo, useState } from "preact/hooks";
import { useAnswer } from "../api";
import { Chart, type Band } from "../chart";
import { UNKNOWN, bytes, clock, count, percent, rate, span, sum } from "../format";
import { Empty, FateMark, Prose, SinkChoice, Title, Trouble, capital } from "../parts";
import { go, query, withQuery } from "../route";
import { label, perSecond, reasons, status } from "../state";
import type { Fate, Series, Sink } from "../types";

const EVERY_MS = 10_000;
/** Rows of the table beside the chart. */
const TABLE_ROWS = 24;

type Values = (number | null)[];

const seconds = (time: number | string) => (typeof time === "number" ? time : Date.parse(time) / 1000);

/** The sum over reasons, point by point; a point that no reason knows is unknown. */
function total(of: Record<string, Values> | undefined, known: Values): Values {
    const all = Object.values(of ?? {});
    return known.map((it, i) => (it === null ? null : all.reduce((sum, values) => sum + (values[i] ?? 0), 0)));
}

function bandsOf(series: Series): Band[] {
    return [
        { name: "delivered", color: "--good", values: series.delivered },
        { name: "filtered", color: "--muted", values: total(series.filtered, series.delivered) },
        { name: "rejected", color: "--bad", values: total(series.rejected, series.delivered) },
        { name: "retrying", color: "--warn", values: series.retried },
    ];
}

const all = (values: Values) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
const last = (values: Values | undefined) => values?.findLast((value) => value !== null) ?? null;

export function DeliveryPage() {
    const sink = query.value.get("sink") ?? "";
    const range = query.value.get("range") === "1d" ? "1d" : "1h";
    const series = useAnswer<Series>(`series?range=${range}${sink ? `&sink=${encodeURIComponent(sink)}` : ""}`, EVERY_MS);
    const sinks = (status.value?.sinks ?? []).filter((it) => !it.removed);
    const shown = sinks.filter((it) => !sink || it.name === sink);
    return (
        <>
            <Title text="Delivery">
                <span class="hint">what became of events · UTC</span>
            </Title>
            <div class="bar">
                <button type="button" aria-pressed={range === "1h"} onClick={() => go(withQuery({ range: null }), false)}>
                    Last hour
                </button>
                <button type="button" aria-pressed={range === "1d"} onClick={() => go(withQuery({ range: "1d" }), false)}>
                    Last day
                </button>
                <span class="push" />
                <SinkChoice sinks={sinks.map((it) => it.name)} value={sink} choose={(sink) => go(withQuery({ sink }), false)} />
            </div>
            <Tiles sinks={shown} series={series.data} name={sink} />
            <Trouble error={series.error} what="figures over time" />
            {series.data?.problem && <p class="notice">{capital(series.data.problem)}.</p>}
            {series.data && <Picture series={series.data} range={range} />}
            <Reasons sinks={shown} sink={sink} />
        </>
    );
}

function Tile({ label, value, more }: { label: string; value: string; more?: string }) {
    return (
        <div class="tile card">
            <span class="hint">{label}</span>
            <b>{value}</b>
            <span class="hint">{more}</span>
        </div>
    );
}

function Tiles({ sinks, series, name }: { sinks: Sink[]; series: Series | null; name: string }) {
    const isShown = (sink: Sink) => !sink.removed && (!name || sink.name === name);
    const speed = perSecond((status) => status.sinks.filter(isShown).reduce((sum, it) => sum + it.counts.delivered, 0));
    const of = (figure: (sink: Sink) => number) => (sinks.length > 0 ? sinks.reduce((sum, it) => sum + figure(it), 0) : null);
    const delivered = of((it) => it.counts.delivered);
    const rejected = of((it) => sum(it.counts.rejected));
    const oldest = sinks.map((it) => it.buffer?.oldest_ms ?? null).filter((it): it is number => it !== null);
    const fullest = sinks.reduce<number | null>((most, it) => (it.buffer ? Math.max(most ?? 0, it.buffer.percent) : most), null);
    const throttle = sinks.map((it) => it.throttle_percent).filter((it): it is number => typeof it === "number");
    return (
        <div class="tiles">
            <Tile label="Delivered" value={`${rate(speed)} /s`} more={`${count(delivered)} since the start`} />
            <Tile
                label="Taken by Meta"
                value={delivered === null || rejected === null ? UNKNOWN : percent(delivered, delivered + rejected)}
                more={`${count(rejected)} rejected`}
            />
            <Tile label="Request, median" value={span(last(series?.p50_ms))} more="until Meta’s answer" />
            <Tile label="Request, 99 of 100" value={span(last(series?.p99_ms))} more="are faster than this" />
            <Tile
                label="In the buffers"
                value={count(of((it) => it.buffer?.events ?? 0))}
                more={`${bytes(of((it) => it.buffer?.bytes ?? 0))}, ${fullest === null ? UNKNOWN : `${count(fullest)} %`} full`}
            />
            <Tile label="The oldest waits for" value={oldest.length > 0 ? span(Math.max(...oldest)) : UNKNOWN} more={oldest.length > 0 ? "" : "nothing waits"} />
            <Tile label="Meta’s limit used" value={throttle.length > 0 ? `${count(Math.max(...throttle))} %` : UNKNOWN} />
        </div>
    );
}

function Picture({ series, range }: { series: Series; range: string }) {
    const [at, setAt] = useState<number | null>(null);
    const [times, bands] = useMemo(() => [series.times.map(seconds), bandsOf(series)], [series]);
    const sums = bands.map((band) => `${count(all(band.values))} ${band.name}`);
    if (bands.every((band) => all(band.values) === 0)) {
        return (
            <div class="card">
                <Empty title={`No event in the last ${range === "1h" ? "hour" : "day"}, as far as it is known.`}>
                    <p class="hint">The chart fills with the events that the sources bring.</p>
                </Empty>
            </div>
        );
    }
    const sentence = `Events in the last ${range === "1h" ? "hour" : "day"}: ${sums.join(", ")}.`;
    const step = series.step_secs >= 60 ? `${count(series.step_secs / 60)} min` : `${series.step_secs} s`;
    return (
        <div class="card pad">
            <div class="legend">
                {bands.map((band) => (
                    <span key={band.name} class={band.name}>
                        <i class="swatch" />
                        {band.name} {at === null ? count(all(band.values)) : count(band.values[at])}
                    </span>
                ))}
                <span class="hint right">
                    {at === null ? sentence : `in ${step} from ${clock(new Date(times[at]! * 1000).toISOString())}`}
                </span>
            </div>
            <Chart times={times} bands={bands} sentence={sentence} point={setAt} />
            <Table times={times} bands={bands} />
        </div>
    );
}

function Table({ times, bands }: { times: number[]; bands: Band[] }) {
    const step = Math.max(1, Math.ceil(times.length / TABLE_ROWS));
    const rows = [];
    for (let from = 0; from < times.length; from += step) rows.push(from);
    const figure = (values: Values, from: number) => {
        const part = values.slice(from, from + step);
        return part.every((it) => it === null) ? UNKNOWN : count(all(part));
    };
    return (
        <details>
            <summary>The same as a table</summary>
            <table>
                <thead>
                    <tr>
                        <th>From</th>
                        {bands.map((band) => (
                            <th class="n">{band.name}</th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {rows.reverse().map((from) => (
                        <tr>
                            <td>{clock(new Date(times[from]! * 1000).toISOString())}</td>
                            {bands.map((band) => (
                                <td class="n">{figure(band.values, from)}</td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
        </details>
    );
}

interface Counted {
    code: string;
    fate: Fate;
    events: number;
}

function counted(sinks: Sink[]): Counted[] {
    const counts = new Map<string, Counted>();
    for (const sink of sinks) {
        for (const fate of ["filtered", "rejected"] as const) {
            for (const [code, events] of Object.entries(sink.counts[fate])) {
                const key = `${fate} ${code}`;
                const before = counts.get(key) ?? { code, fate, events: 0 };
                counts.set(key, { ...before, events: before.events + events });
            }
        }
    }
    return [...counts.values()].sort((a, b) => b.events - a.events);
}

function Reasons({ sinks, sink }: { sinks: Sink[]; sink: string }) {
    const rows = counted(sinks);
    const about = new Map(reasons.value.map((reason) => [reason.code, reason.detail]));
    return (
        <div class="card">
            <div class="scroll">
                <table>
                    <caption class="caption">Why events were not delivered, since the start</caption>
                    <thead>
                        <tr>
                            <th>Reason</th>
                            <th>Fate</th>
                            <th class="n">Events</th>
                            <th>In words</th>
                        </tr>
                    </thead>
                    <tbody>
                        {rows.map(({ code, fate, events }) => (
                            <tr key={fate + code}>
                                <td class="nowrap">
                                    <a href={`/events?reason=${code}${sink ? `&sink=${encodeURIComponent(sink)}` : ""}`}>{label(code)}</a>
                                </td>
                                <td>
                                    <FateMark fate={fate} />
                                </td>
                                <td class="n">{count(events)}</td>
                                <td class="hint">
                                    <Prose text={about.get(code) ?? ""} />
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            {rows.length === 0 && <Empty title="No event was filtered or rejected since the start." />}
        </div>
    );
}
