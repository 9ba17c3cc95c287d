// Dead letters: what was given up and why, and how it is sent again or deleted.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, useAnswer, type Answer, type Refusal } from "../api";
import { UNKNOWN, bytes, count, plural, stamp } from "../format";
import { Empty, Prose, Title, Trouble } from "../parts";
import { go, query, withQuery } from "../route";
import { countLetters, label, status } from "../state";

const EVERY_MS = 5000;
const JOB_MS = 500;

interface Group {
    reason: string;
    destination?: string | null;
    label?: string;
    letters: number;
    first?: string | null;
    last?: string | null;
    example?: string | null;
}

interface SinkLetters {
    sink: string;
    letters: number;
    percent_full?: number | null;
    groups: Group[];
    problem?: string | null;
}

interface Letter {
    id: string;
    event_id: string | null;
    event_time?: string | null;
    label: string | null;
    reason: string;
    detail?: string | null;
    destination?: string | null;
    attempts?: number;
    first?: string | null;
    last?: string | null;
    source?: string | null;
    payload_bytes?: number | null;
    history?: { reason: string; destination?: string | null; attempts: number; time: string | null }[];
}

interface Job {
    done: number;
    total: number;
    delivered: number;
    rejected: number;
    held: number;
    unfit?: number;
    state?: string;
}

export function LettersPage() {
    const answer = useAnswer<{ sinks: SinkLetters[] }>("letters", EVERY_MS);
    useEffect(() => {
        if (answer.data) countLetters(answer.data);
    }, [answer.data]);
    const sinks = answer.data?.sinks ?? [];
    const total = sinks.reduce((sum, sink) => sum + sink.letters, 0);
    const open = query.value.get("sink");
    return (
        <>
            <Title text="Dead letters">
                <span class="hint">events that were given up, kept on disk until they are sent again or deleted</span>
            </Title>
            <Trouble error={answer.error} what="dead letters over HTTP; `pipeline dead-letters list` shows them in a terminal" />
            {finished.value && (
                <p class="notice good" role="status">
                    Sent again: {finished.value}
                </p>
            )}
            {answer.data && total === 0 && (
                <div class="card">
                    <Empty title="There are no dead letters.">
                        <p>An event becomes one when Meta refuses it for good, or when it lacks what Meta requires. The list fills by itself.</p>
                    </Empty>
                </div>
            )}
            {!answer.data && answer.error && <Rejected />}
            {open && <List key={`${open} ${query.value.get("reason")}`} sink={open} reason={query.value.get("reason")} changed={answer.again} />}
            {sinks
                .filter((sink) => sink.letters > 0 || sink.problem)
                .map((sink) => (
                    <SinkGroups key={sink.sink} sink={sink} answer={answer} />
                ))}
        </>
    );
}

/** What the counters know of rejections, where the letters themselves cannot be asked for. */
function Rejected() {
    const rows = (status.value?.sinks ?? []).flatMap((sink) =>
        Object.entries(sink.counts.rejected).map(([reason, events]) => ({ sink: sink.name, reason, events })),
    );
    if (rows.length === 0) return null;
    return (
        <div class="card scroll">
            <table>
                <caption class="caption">Rejected by this run</caption>
                <thead>
                    <tr>
                        <th>Sink</th>
                        <th>Reason</th>
                        <th class="n">Events</th>
                    </tr>
                </thead>
                <tbody>
                    {rows.map(({ sink, reason, events }) => (
                        <tr key={sink + reason}>
                            <td>{sink}</td>
                            <td>
                                <a href={`/events?status=rejected&reason=${reason}&sink=${encodeURIComponent(sink)}`}>{label(reason)}</a>
                            </td>
                            <td class="n">{count(events)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function SinkGroups({ sink, answer }: { sink: SinkLetters; answer: Answer<unknown> }) {
    return (
        <section class="card pad" aria-label={sink.sink}>
            <div class="title">
                <h2>{sink.sink}</h2>
                <span class="hint">
                    {plural(sink.letters, "letter")}
                    {typeof sink.percent_full === "number" ? `, ${count(sink.percent_full)} % of their room` : ""}
                </span>
                <span class="right bar">
                    <Replay sink={sink.sink} what="all" body={{}} changed={answer.again} />
                </span>
            </div>
            {sink.problem && <p class="notice bad">{sink.problem}</p>}
            <div class="scroll">
                <table>
                    <thead>
                        <tr>
                            <th>Reason</th>
                            <th>Meta’s code</th>
                            <th class="n">Letters</th>
                            <th>First</th>
                            <th>Last</th>
                            <th>Example</th>
                            <th>
                                <span class="hint">Do</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {sink.groups.map((group) => (
                            <tr key={group.reason + (group.destination ?? "")}>
                                <td class="nowrap">
                                    <a href={withQuery({ sink: sink.sink, reason: group.reason, letter: null })}>{group.label ?? label(group.reason)}</a>
                                </td>
                                <td>{group.destination ?? UNKNOWN}</td>
                                <td class="n">{count(group.letters)}</td>
                                <td class="nowrap">{stamp(group.first)}</td>
                                <td class="nowrap">{stamp(group.last)}</td>
                                <td class="hint example" title={group.example ?? ""}>
                                    <Prose text={group.example ?? ""} />
                                </td>
                                <td class="nowrap">
                                    <Replay sink={sink.sink} what={group.reason} body={{ reason: group.reason }} changed={answer.again} />{" "}
                                    <Purge sink={sink.sink} reason={group.reason} changed={answer.again} />
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </section>
    );
}

const result = (job: Job) =>
    [
        `${count(job.delivered)} delivered`,
        `${count(job.rejected)} rejected again`,
        ...(job.unfit ? [`${count(job.unfit)} left, because Meta would refuse them`] : []),
        ...(job.held > 0 ? [`${count(job.held)} still here`] : []),
    ].join(", ");

/** What the last replay came to. */
const finished = signal<string | null>(null);

function Replay({ sink, what, body, changed }: { sink: string; what: string; body: object; changed: () => void }) {
    const [id, setId] = useState<string | null>(null);
    const [job, setJob] = useState<Job | null>(null);
    const [error, setError] = useState<Refusal | null>(null);
    const isOver = job !== null && (job.state ? job.state !== "running" : job.done >= job.total);
    useEffect(() => {
        if (id === null || isOver) return;
        const timer = window.setTimeout(() => {
            ask<Job>(`jobs/${encodeURIComponent(id)}`).then(setJob, setError);
        }, JOB_MS);
        return () => clearTimeout(timer);
    }, [id, job]);
    useEffect(() => {
        if (!isOver || !job) return;
        // The row may be gone with its letters, so the result is told on top.
        finished.value = `${sink}, ${what === "all" ? "all letters" : label(what)}: ${job.state === "failed" ? "failed: " : ""}${result(job)}.`;
        changed();
    }, [isOver]);
    const start = () => {
        setJob(null);
        ask<{ job: string | number }>(`letters/${encodeURIComponent(sink)}/replay`, "POST", body).then(
            (answer) => {
                setId(String(answer.job));
                setJob({ done: 0, total: 0, delivered: 0, rejected: 0, held: 0, state: "running" });
                setError(null);
            },
            (refused: Refusal) => setError(refused),
        );
    };
    return (
        <span>
            <button type="button" onClick={start} disabled={id !== null && !isOver} aria-label={`Send again: ${what}, ${sink}`}>
                Send again
            </button>
            <span role="status" class="hint">
                {error && <span class="rejected"> {error.message}</span>}
                {job && !isOver && ` ${count(job.done)} of ${job.total > 0 ? count(job.total) : UNKNOWN} …`}
            </span>
        </span>
    );
}

function Purge({ sink, reason, changed }: { sink: string; reason: string; changed: () => void }) {
    const [isOpen, setOpen] = useState(false);
    const [typed, setTyped] = useState("");
    const [error, setError] = useState<Refusal | null>(null);
    const box = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        if (isOpen) box.current?.showModal();
    }, [isOpen]);
    const purge = (event: SubmitEvent) => {
        event.preventDefault();
        ask(`letters/${encodeURIComponent(sink)}`, "DELETE", { reason, confirm: typed }).then(
            () => {
                setOpen(false);
                changed();
            },
            (refused: Refusal) => setError(refused),
        );
    };
    return (
        <>
            <button type="button" class="danger" onClick={() => setOpen(true)} aria-label={`Delete …: ${reason}, ${sink}`}>
                Delete …
            </button>
            {isOpen && (
                <dialog ref={box} aria-label="Delete dead letters" onClose={() => setOpen(false)}>
                    <form onSubmit={purge}>
                        <h2>Delete the letters of {sink} with the reason “{label(reason)}”?</h2>
                        <p>They are deleted from the disk and cannot be sent any more.</p>
                        <label>
                            Type the name of the sink, <code>{sink}</code>, to confirm:{" "}
                            <input autocomplete="off" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
                        </label>
                        {error && <p class="notice bad">{error.message}</p>}
                        <div class="bar">
                            <button type="submit" class="danger" disabled={typed !== sink}>
                                Delete them
                            </button>
                            <button type="button" onClick={() => setOpen(false)}>
                                Keep them
                            </button>
                        </div>
                    </form>
                </dialog>
            )}
        </>
    );
}

function List({ sink, reason, changed }: { sink: string; reason: string | null; changed: () => void }) {
    const [before, setBefore] = useState<string | null>(null);
    const path = new URLSearchParams({ ...(reason ? { reason } : {}), ...(before ? { before } : {}) });
    const { data, error } = useAnswer<{ letters: Letter[]; next?: string | number | null; truncated?: boolean }>(
        `letters/${encodeURIComponent(sink)}?${path}`,
    );
    const open = query.value.get("letter");
    const [chosen, setChosen] = useState<string[]>([]);
    const shown = data?.letters.find((letter) => letter.id === open);
    const toggle = (id: string) => setChosen((ids) => (ids.includes(id) ? ids.filter((it) => it !== id) : [...ids, id]));
    return (
        <section aria-label="Letters">
            <div class="bar">
                <h2>
                    {sink}
                    {reason ? `: ${label(reason)}` : ""}
                </h2>
                <span class="push" />
                {chosen.length > 0 && <Replay sink={sink} what={`${chosen.length} selected`} body={{ ids: chosen }} changed={changed} />}
                <a class="button" href="/letters">
                    Close
                </a>
            </div>
            <Trouble error={error} what="single letters" />
            <div class={shown ? "split opened" : "split"}>
                <div class="card scroll">
                    <table>
                        <thead>
                            <tr>
                                <th>
                                    <span class="hint">Select</span>
                                </th>
                                <th>Last</th>
                                <th>Event</th>
                                <th>Reason</th>
                                <th>Event id</th>
                            </tr>
                        </thead>
                        <tbody>
                            {data?.letters.map((letter) => {
                                const { id } = letter;
                                const href = withQuery({ letter: id });
                                return (
                                    <tr key={id}>
                                        <td>
                                            <input type="checkbox" aria-label={`Select ${letter.event_id ?? id}`} checked={chosen.includes(id)} onChange={() => toggle(id)} />
                                        </td>
                                        <td class="nowrap">{stamp(letter.last)}</td>
                                        <td>
                                            <a href={href} onClick={(event) => (event.preventDefault(), go(href, false))}>
                                                {letter.label ?? "open"}
                                            </a>
                                        </td>
                                        <td class="hint">{label(letter.reason)}</td>
                                        <td>
                                            <code>{letter.event_id ?? UNKNOWN}</code>
                                        </td>
                                    </tr>
                                );
                            })}
                        </tbody>
                    </table>
                    {data && data.letters.length === 0 && <Empty title="No letter here any more." />}
                </div>
                {shown && <LetterView letter={shown} />}
            </div>
            {data?.next !== undefined && data.next !== null && (
                <button type="button" onClick={() => setBefore(String(data.next))}>
                    Older letters
                </button>
            )}
        </section>
    );
}

function LetterView({ letter }: { letter: Letter }) {
    const facts: [string, string][] = [
        ["Event id", letter.event_id ?? UNKNOWN],
        ["Event time", stamp(letter.event_time)],
        ["Came from", letter.source ?? UNKNOWN],
        ["First seen", stamp(letter.first)],
        ["Became a letter", stamp(letter.last)],
        ["Attempts", count(letter.attempts)],
        ["Meta’s code", letter.destination ?? UNKNOWN],
        ["Payload", letter.payload_bytes ? bytes(letter.payload_bytes) : "none, so it cannot be sent again"],
    ];
    return (
        <section class="panel card" aria-label="Letter">
            <h2>{letter.label ?? "Letter without a name"}</h2>
            <p class="notice bad">
                <Prose text={letter.detail ?? label(letter.reason)} />
            </p>
            <dl class="facts">
                {facts.map(([name, value]) => (
                    <>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </>
                ))}
            </dl>
            {letter.history && letter.history.length > 0 && (
                <>
                    <h3>Before</h3>
                    <ol class="history">
                        {letter.history.map((past) => (
                            <li>
                                <code>{stamp(past.time)}</code> {label(past.reason)}
                                {past.destination ? ` (${past.destination})` : ""}, {plural(past.attempts, "attempt")}
                            </li>
                        ))}
                    </ol>
                </>
            )}
        </section>
    );
}
