// What is where: for each sink a line from its sources to Meta, with what leaves it sideways, and figures that add up.
import { useState } from "preact/hooks";
import { ask, useAnswer, type Refusal } from "../api";
import { UNKNOWN, bytes, clock, count, rate, span, stamp, sum } from "../format";
import { Empty, Title } from "../parts";
import { label, perSecond, status } from "../state";
import type { Sink, Source, Status } from "../types";

const STATES = { sending: "sending", backing_off: "backing off", blocked: "blocked", paused: "paused" };

export function PipelinePage() {
    const config = useAnswer<{ sinks?: Record<string, { inputs?: string[] }> }>("config");
    const now = status.value;
    return (
        <>
            <Title text="Pipeline">
                <span class="hint">
                    {now?.file ?? UNKNOWN} · version {now?.version ?? UNKNOWN} · started {stamp(now?.started)} UTC
                </span>
            </Title>
            {!now && <Empty title="The server has not told its state yet." />}
            {now && now.sinks.length === 0 && <Empty title="No sink is running. The section `sinks` of the pipeline file names them." />}
            {now?.sinks.map((sink) => (
                <SinkLine key={sink.name} sink={sink} sources={sourcesOf(now, config.data?.sinks?.[sink.name]?.inputs)} />
            ))}
        </>
    );
}

/** The sources that a sink reads; all where that is not known. Names of transforms lead to no source here. */
function sourcesOf(status: Status, inputs: string[] | undefined): Source[] {
    const named = status.sources.filter((source) => inputs?.includes(source.name));
    return named.length > 0 ? named : status.sources;
}

function SinkLine({ sink, sources }: { sink: Sink; sources: Source[] }) {
    const figure = (of: (sink: Sink) => number) =>
        perSecond((status) => {
            const found = status.sinks.find((it) => it.name === sink.name);
            return found && of(found);
        });
    const { counts } = sink;
    return (
        <section class="card pad" aria-label={sink.name}>
            <div class="title">
                <h2>{sink.name}</h2>
                <span class="hint">{sink.type}</span>
                <span class={`dot ${sink.removed ? "unknown" : sink.state}`}>
                    {sink.removed ? "removed" : STATES[sink.state]}
                    {sink.until ? ` until ${clock(sink.until)}` : ""}
                </span>
                {!sink.removed && <PauseButton sink={sink} />}
            </div>
            {sink.reason && <p class={`notice ${sink.state === "blocked" ? "bad" : ""}`}>{sink.reason}</p>}
            <ol class="flow">
                <li>
                    <b>{sources.length === 1 ? "Source" : "Sources"}</b>
                    {sources.map((source) => (
                        <SourceLine key={source.name} source={source} />
                    ))}
                </li>
                <li>
                    <b>Consent and mapping</b>
                    <span class="big">{rate(figure((it) => it.counts.read))} /s</span>
                    <div class="hint">{count(counts.read)} read</div>
                    <Sideways fate="filtered" reasons={counts.filtered} sink={sink.name} />
                    <Sideways fate="rejected" reasons={counts.rejected} sink={sink.name} />
                </li>
                <BufferBox sink={sink} />
                <li>
                    <b>Meta</b>
                    <span class="big">{rate(figure((it) => it.counts.delivered))} /s</span>
                    <div class="hint">{count(counts.delivered)} delivered</div>
                    <div class="hint">{count(counts.retried)} sent again</div>
                </li>
            </ol>
            <Sum sink={sink} />
        </section>
    );
}

function SourceLine({ source }: { source: Source }) {
    const speed = perSecond((status) => status.sources.find((it) => it.name === source.name)?.received);
    return (
        <div>
            {source.name} <span class="hint">{source.type}</span>
            <div class="hint">
                {source.state === "running" ? `${rate(speed)} /s` : source.state}, {count(source.received)} received
                {source.problems > 0 ? `, ${count(source.problems)} could not be read` : ""}
            </div>
            {source.address && <div class="hint">listens on {source.address}</div>}
        </div>
    );
}

function Sideways({ fate, reasons, sink }: { fate: string; reasons: Record<string, number>; sink: string }) {
    const rows = Object.entries(reasons).sort(([, a], [, b]) => b - a);
    if (rows.length === 0) return null;
    const note = fate === "rejected" ? "here, or by Meta" : "not sent on purpose";
    return (
        <div class="side">
            <span class={fate}>
                {count(sum(reasons))} {fate}
            </span>{" "}
            <span class="hint">{note}</span>
            {rows.map(([code, events]) => (
                <a key={code} href={`/events?status=${fate}&reason=${code}&sink=${encodeURIComponent(sink)}`}>
                    <span>{label(code)}</span>
                    <span>{count(events)}</span>
                </a>
            ))}
        </div>
    );
}

function BufferBox({ sink: { buffer, counts } }: { sink: Sink }) {
    return (
        <li>
            <b>Buffer</b>
            <span class="big">{count(buffer?.events)}</span> <span class="hint">waiting</span>
            {buffer && (
                <>
                    <div class="hint">
                        {buffer.type === "disk" ? "on disk" : "in memory"}, {bytes(buffer.bytes)}, {count(buffer.percent)} % full
                    </div>
                    <meter min={0} max={100} value={buffer.percent} aria-label="How full the buffer is" />
                    <div class="hint">{buffer.oldest_ms === null ? "nothing waits" : `the oldest waits for ${span(buffer.oldest_ms)}`}</div>
                    {!buffer.writable && <p class="notice bad">The buffer cannot be written.</p>}
                </>
            )}
            {counts.dropped > 0 && (
                <div class="side">
                    <span class="rejected">{count(counts.dropped)} dropped</span> <span class="hint">the buffer was full</span>
                </div>
            )}
        </li>
    );
}

function Sum({ sink: { counts } }: { sink: Sink }) {
    const [filtered, rejected] = [sum(counts.filtered), sum(counts.rejected)];
    const left = counts.read + counts.resumed - counts.delivered - filtered - rejected - counts.dropped - counts.held;
    const resumed = counts.resumed > 0 ? ` + ${count(counts.resumed)} from the run before` : "";
    return (
        <p class="hint">
            {count(counts.read)} read{resumed} = {count(counts.delivered)} delivered + {count(filtered)} filtered + {count(rejected)} rejected +{" "}
            {count(counts.dropped)} dropped + {count(counts.held)} held.{" "}
            {left === 0 ? "The figures add up." : `${count(Math.abs(left))} moved while the figures were read.`}
        </p>
    );
}

function PauseButton({ sink }: { sink: Sink }) {
    const [refused, setRefused] = useState<string | null>(null);
    const isPaused = sink.state === "paused";
    const change = () =>
        ask(`sinks/${encodeURIComponent(sink.name)}/${isPaused ? "resume" : "pause"}`, "POST").then(
            () => setRefused(null),
            (error: Refusal) => setRefused(error.message),
        );
    return (
        <span class="right">
            {refused && (
                <span class="hint" role="status">
                    {refused}{" "}
                </span>
            )}
            <button type="button" onClick={change} aria-label={`${isPaused ? "Resume delivery" : "Pause delivery"} of ${sink.name}`}>
                {isPaused ? "Resume delivery" : "Pause delivery"}
            </button>
        </span>
    );
}
