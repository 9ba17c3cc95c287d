// The options of a sink: what maps to what, what the options are, what a change would do to an event, and what changes in the file.
import "../kit";
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ask, useAnswer, type Answer, type Refusal } from "../api";
import { Form } from "../form";
import { changes, type Change, type Options } from "../options";
import { Copy, Empty, Prose, Title, Trouble, capital } from "../parts";
import { query, withQuery, go } from "../route";
import { fields, type Schema } from "../schema";
import type { Found, Secret, SentFields } from "../types";
import { EventMappings, type Preset, type Seen } from "./mappings";
import { MappedView, Problems, example, type Mapped } from "./try";

const DEBOUNCE_MS = 300;

interface Config {
    etag: string;
    format: string;
    file?: string;
    writable?: boolean;
    reason?: string | null;
    sinks: Record<string, Options | null>;
    secrets?: Secret[];
}

export function SetupPage() {
    const config = useAnswer<Config>("config");
    const names = Object.keys(config.data?.sinks ?? {});
    const name = query.value.get("sink") ?? names[0] ?? "";
    const options = config.data?.sinks[name];
    return (
        <>
            <Title text="Set-up">
                {names.length > 1 && (
                    <select aria-label="Sink" value={name} onChange={(event) => go(withQuery({ sink: event.currentTarget.value }), false)}>
                        {names.map((name) => (
                            <option key={name}>{name}</option>
                        ))}
                    </select>
                )}
                <span class="hint">{config.data?.file ?? ""}</span>
                {options && <TokenCheck key={name} sink={name} />}
            </Title>
            <Trouble error={config.error} what="set-up: the pipeline file is edited in an editor, and `pipeline validate` checks it" />
            {config.data && names.length === 0 && <Empty title="The pipeline file has no sinks." />}
            {config.data && options === null && <Empty title="The options of this sink hold a secret that cannot be hidden, so they are not shown." />}
            {config.data && options && <Editor key={name + config.data.etag} name={name} config={config.data} saved={options} again={config.again} />}
        </>
    );
}

interface Health {
    healthy: boolean;
    state: string;
    reason?: string;
    detail?: string;
}

/** Asks Meta whether the running sink could deliver now. */
function TokenCheck({ sink }: { sink: string }) {
    const [health, setHealth] = useState<Health | null>(null);
    const [error, setError] = useState<Refusal | null>(null);
    const [isAsking, setAsking] = useState(false);
    const check = async () => {
        setAsking(true);
        try {
            setHealth(await ask<Health>(`sinks/${encodeURIComponent(sink)}/check`, "POST"));
            setError(null);
        } catch (refused) {
            setHealth(null);
            setError(refused as Refusal);
        }
        setAsking(false);
    };
    const why = health?.detail ?? "Meta gave no reason";
    return (
        <>
            <span class="right">
                <button type="button" onClick={check} disabled={isAsking}>
                    Check the token
                </button>
            </span>
            <div class="answer" role="status">
                {health?.healthy && <p class="notice good">Meta takes the token of the running sink: events can be delivered.</p>}
                {health?.state === "blocked" && <p class="notice bad">Meta would refuse events of the running sink, until somebody acts: <Prose text={why} />.</p>}
                {health?.state === "unavailable" && <p class="notice bad">Meta cannot be asked now, and waiting may help: <Prose text={why} />.</p>}
                {error && <p class="notice bad">{capital(error.message)}.</p>}
            </div>
        </>
    );
}

function Editor({ name, config, saved, again }: { name: string; config: Config; saved: Options; again: () => void }) {
    const [draft, setDraft] = useState(saved);
    const schema = useAnswer<Schema>(`schema/${encodeURIComponent(String(saved["type"]))}`);
    const preset = typeof draft["preset"] === "string" ? draft["preset"] : null;
    const table = useAnswer<Preset>(preset ? `presets/${encodeURIComponent(preset)}` : null);
    const sent = useAnswer<SentFields>(`fields?sink=${encodeURIComponent(name)}`, 10_000);
    const problems = useProblems(name, draft);
    const changed = changes(saved, draft);
    const errors = problems.filter((it) => it.level !== "note");
    return (
        <>
            {errors.length > 0 && (
                <div class="notice bad" role="status">
                    {errors.length === 1 ? "1 problem" : `${errors.length} problems`}:{" "}
                    {errors.map((it) => (
                        <a key={it.path + it.problem} href={`#option-${it.option ?? ""}`} class="problem">
                            {it.option || it.path || it.problem}
                        </a>
                    ))}
                </div>
            )}
            <div class="two setup">
                <div>
                    <Trouble error={schema.error} what="the list of options" />
                    {schema.data && (
                        <Form
                            fields={fields(schema.data)}
                            draft={draft}
                            saved={saved}
                            problems={problems}
                            secrets={(config.secrets ?? []).filter((it) => it.path.startsWith(`sinks.${name}.`))}
                            preset={table.data}
                            sent={sent.data}
                            change={setDraft}
                        >
                            <EventSection draft={draft} setDraft={setDraft} sink={name} table={table} />
                        </Form>
                    )}
                </div>
                <div class="aside">
                    <Preview sink={name} draft={draft} isChanged={changed.length > 0} />
                    <Save name={name} draft={draft} config={config} changed={changed} isGood={errors.length === 0} again={again} />
                </div>
            </div>
        </>
    );
}

/** What the server says of the options, a moment after the last change. */
function useProblems(sink: string, options: Options): Found[] {
    const [problems, setProblems] = useState<Found[]>([]);
    useEffect(() => {
        let isOver = false;
        const timer = window.setTimeout(() => {
            ask<{ problems: Found[] }>("validate", "POST", { sink, options }).then(
                (answer) => !isOver && setProblems(answer.problems),
                (error: Refusal) => !isOver && setProblems([{ path: "", problem: error.message, expected: "" }]),
            );
        }, DEBOUNCE_MS);
        return () => {
            isOver = true;
            clearTimeout(timer);
        };
    }, [sink, options]);
    return problems;
}

interface EventProps {
    draft: Options;
    setDraft: (options: Options) => void;
    sink: string;
    table: Answer<Preset>;
}

function EventSection({ draft, setDraft, sink, table }: EventProps) {
    const seen = useAnswer<Seen>(`seen?sink=${encodeURIComponent(sink)}`, 10_000);
    return (
        <fieldset>
            <legend>Which events</legend>
            {typeof draft["preset"] !== "string" && <p class="hint">The preset is a file of your own; its table is not shown here.</p>}
            <Trouble error={table.error} what="the table of the preset" />
            <EventMappings preset={table.data} seen={seen.data} draft={draft} change={setDraft} />
        </fieldset>
    );
}

function Preview({ sink, draft, isChanged }: { sink: string; draft: Options; isChanged: boolean }) {
    const [text, setText] = useState(example);
    const [mapped, setMapped] = useState<Mapped | null>(null);
    const [error, setError] = useState<Refusal | null>(null);
    useEffect(() => {
        let isOver = false;
        const timer = window.setTimeout(() => {
            ask<Mapped>("map", "POST", isChanged ? { sink, options: draft, event: text } : { sink, event: text }).then(
                (answer) => {
                    if (isOver) return;
                    setMapped(answer);
                    setError(null);
                },
                (refused: Refusal) => !isOver && setError(refused),
            );
        }, DEBOUNCE_MS);
        return () => {
            isOver = true;
            clearTimeout(timer);
        };
    }, [sink, draft, text]);
    const different = mapped?.running ? changes(mapped.running.event, mapped.event).map((it) => it.path || "the whole event") : [];
    return (
        <section class="card pad" aria-label="Preview">
            <h2>What it does to an event</h2>
            <details>
                <summary>The event</summary>
                <textarea aria-label="Event for the preview" rows={14} spellcheck={false} autocomplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />
            </details>
            {error && <Problems error={error} />}
            {different.length > 0 && (
                <p>
                    <strong class="delivered">{different.length === 1 ? "1 field changes" : `${different.length} fields change`}:</strong>{" "}
                    <code>{different.join(", ")}</code>
                </p>
            )}
            {mapped?.running && different.length === 0 && <p class="hint">The changes do not affect this event.</p>}
            {mapped && !error && <MappedView mapped={mapped} />}
        </section>
    );
}

const shown = (value: unknown) => (value === undefined ? "" : JSON.stringify(value));

/** The changes line by line; what a line of the file will be is the server's to say. */
function Difference({ changed, text }: { changed: Change[]; text: string | null }) {
    if (text !== null) {
        return (
            <pre class="json diff" tabIndex={0} role="region" aria-label="Difference">
                {text.split("\n").map((line) => (line.startsWith("+") ? <ins>{line}</ins> : line.startsWith("-") ? <del>{line}</del> : `${line}\n`))}
            </pre>
        );
    }
    return (
        <pre class="json diff" tabIndex={0} role="region" aria-label="Difference">
            {changed.map(({ path, before, after }) => (
                <>
                    {before !== undefined && (
                        <del>
                            - {path}: {shown(before)}
                        </del>
                    )}
                    {after !== undefined && (
                        <ins>
                            + {path}: {shown(after)}
                        </ins>
                    )}
                </>
            ))}
        </pre>
    );
}

interface SaveProps {
    name: string;
    draft: Options;
    config: Config;
    changed: Change[];
    isGood: boolean;
    again: () => void;
}

interface Written {
    diff: string;
    text: string;
    etag: string;
    reload?: { changed?: string[]; needs_restart?: string[] | null };
}

/** The sink whose options were saved last; the form starts again with what is in the file then. */
const saved = signal<string | null>(null);

/** What a reload of the changed file does. */
function Effect({ review, fixed }: { review: Written; fixed: string[] }) {
    return (
        <>
            {fixed.length > 0 && <p class="notice">Not while it runs: {fixed.join(", ")}. Change the file by hand, and restart.</p>}
            {review.reload?.changed?.map((line) => (
                <p key={line} class="hint">
                    {line}
                </p>
            ))}
            <p class="hint">
                Comments and order stay as they are, except the quotes of a changed value and the comment behind a removed one. Saving reloads the
                pipeline and keeps the old file as .bak.
            </p>
        </>
    );
}

function Save({ name, draft, config, changed, isGood, again }: SaveProps) {
    const [review, setReview] = useState<Written | null>(null);
    const [error, setError] = useState<Refusal | null>(null);
    const isSaved = saved.value === name;
    const fixed = review?.reload?.needs_restart ?? [];
    useEffect(() => {
        setReview(null);
        setError(null);
        if (changed.length > 0) saved.value = null;
    }, [draft]);
    const put = (isDry: boolean) =>
        ask<Written>(`config${isDry ? "?dry_run=1" : ""}`, "PUT", { sink: name, options: draft }, { "if-match": config.etag }).then(
            (written) => {
                setError(null);
                if (isDry) return setReview(written);
                saved.value = name;
                again();
            },
            (refused: Refusal) => setError(refused),
        );
    return (
        <section class="card pad" aria-label="Changes">
            <h2>What changes in the file</h2>
            {config.writable === false && <p class="notice">The file is not written from here: {config.reason ?? "it cannot be written"}.</p>}
            {changed.length === 0 && <p class="hint">{isSaved ? "Saved." : "Nothing yet. The form changes a copy; the running sink stays as it is until you save."}</p>}
            {changed.length > 0 && <Difference changed={changed} text={review?.diff ?? null} />}
            {error && (
                <p class="notice bad" role="alert">
                    {error.status === 412 ? "The file was changed by somebody else meanwhile. Load it again before you save." : error.message}
                </p>
            )}
            {changed.length > 0 && (
                <div class="bar">
                    <button type="button" disabled={!isGood} onClick={() => put(true)}>
                        Review
                    </button>
                    {config.writable !== false && (
                        <button type="button" class="primary" disabled={!isGood || review === null || fixed.length > 0} onClick={() => put(false)}>
                            Save
                        </button>
                    )}
                    {review && <Copy text={review.diff} label="Copy the difference" />}
                    {review && <Copy text={review.text} label="Copy the new file" />}
                </div>
            )}
            {review && <Effect review={review} fixed={fixed} />}
        </section>
    );
}

