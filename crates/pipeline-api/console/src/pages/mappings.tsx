// Which event becomes which Meta event: the preset's table, what the user's options change of it, and what was seen but is not mapped.
import { useState } from "preact/hooks";
import { count, UNKNOWN } from "../format";
import { read, write, type Options } from "../options";
import type { SentFields } from "../types";

export interface Preset {
    rows: { from: string[]; to: string }[];
    /** Where it looks for the values of parameters. */
    fields?: { name: string; paths: string[] }[];
}

/** Events that came in: those without a mapping, and those with one. */
export interface Seen {
    names: { name: string; events: number; withheld?: boolean }[];
    mapped?: { name: string | null; events: number }[];
    other?: number;
}

/** Meta's standard events; any other name is a custom event. */
const META_EVENTS = [
    ..."AddPaymentInfo AddToCart AddToWishlist CompleteRegistration Contact CustomizeProduct Donate FindLocation InitiateCheckout Lead".split(" "),
    ..."PageView Purchase Schedule Search StartTrial SubmitApplication Subscribe ViewContent".split(" "),
];
const NOT_SENT = "(not sent)";
const PRESET = "(preset)";

interface Props {
    preset: Preset | null;
    seen: Seen | null;
    draft: Options;
    change: (options: Options) => void;
}

interface Row {
    name: string;
    others: string[];
    to: string | null;
    seen: number | null;
}

const alike = (name: string) => name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

function rowsOf({ preset, seen, draft }: Props): Row[] {
    const events = new Map<string, number>();
    for (const it of [...(seen?.names ?? []), ...(seen?.mapped ?? [])]) {
        const name = alike(it.name ?? "");
        events.set(name, (events.get(name) ?? 0) + it.events);
    }
    const count = (names: string[]) => {
        if (!seen) return null;
        return names.reduce((sum, name) => sum + (events.get(alike(name)) ?? 0), 0);
    };
    const rows = (preset?.rows ?? []).map((row) => ({
        name: row.from[0] ?? "",
        others: row.from.slice(1),
        to: row.to,
        seen: count(row.from),
    }));
    const known = new Set(rows.flatMap((row) => [row.name, ...row.others]).map(alike));
    const own = Object.keys((read(draft, ["event_mappings"]) as Options | undefined) ?? {}).filter((name) => !known.has(alike(name)));
    own.forEach((name) => known.add(alike(name)));
    const unmapped = (seen?.names ?? []).filter((it) => !known.has(alike(it.name)) && it.withheld !== true);
    return [
        ...rows,
        ...own.map((name) => ({ name, others: [], to: null, seen: count([name]) })),
        ...unmapped.map((it) => ({ name: it.name, others: [], to: null, seen: it.events })),
    ];
}

export function EventMappings(props: Props) {
    const { draft, change, preset } = props;
    const own = (read(draft, ["event_mappings"]) as Options | undefined) ?? {};
    /** The user's own entry for a row, under whichever of its names. */
    const keyOf = (row: Row) => Object.keys(own).find((key) => [row.name, ...row.others].some((name) => alike(name) === alike(key)));
    const set = (row: Row, to: unknown) => change(write(draft, ["event_mappings", keyOf(row) ?? row.name], to));
    const rows = rowsOf(props);
    if (rows.length === 0) return null;
    return (
        <div class="scroll">
            <table class="mappings">
                <thead>
                    <tr>
                        <th>Event</th>
                        <th class="n">Seen</th>
                        <th>Becomes</th>
                        <th>
                            <span class="hint">Change</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {rows.map((row) => {
                        const key = keyOf(row);
                        const entry = key === undefined ? undefined : own[key];
                        return (
                            <tr key={row.name} class={key === undefined ? "" : "changed"}>
                                <td>
                                    {row.name} <span class="hint">{row.others.slice(0, 3).join(", ")}</span>
                                    {row.others.length > 3 && <span class="hint"> and {row.others.length - 3} more</span>}
                                    {row.to === null && key === undefined && <strong class="held"> seen, not mapped</strong>}
                                </td>
                                <td class="n">{row.seen === null ? UNKNOWN : count(row.seen)}</td>
                                <td>
                                    <Target row={row} entry={entry} isOwn={key !== undefined} hasPreset={preset !== null} choose={(to) => set(row, to)} />
                                </td>
                                <td>
                                    {key !== undefined && (
                                        <button type="button" onClick={() => set(row, undefined)} aria-label={`undo: ${row.name}`}>
                                            undo
                                        </button>
                                    )}
                                    {key === undefined && row.to === null && (
                                        <button type="button" onClick={() => set(row, "Lead")} aria-label={`Map it: ${row.name}`}>
                                            Map it
                                        </button>
                                    )}
                                </td>
                            </tr>
                        );
                    })}
                </tbody>
            </table>
        </div>
    );
}

interface TargetProps {
    row: Row;
    entry: unknown;
    isOwn: boolean;
    hasPreset: boolean;
    choose: (to: unknown) => void;
}

function Target({ row, entry, isOwn, choose }: TargetProps) {
    if (isOwn && entry !== null && typeof entry === "object") return <span class="hint">a table with mappings of its own</span>;
    const value = !isOwn ? (row.to === null ? NOT_SENT : PRESET) : entry === null ? NOT_SENT : String(entry);
    const all = META_EVENTS.includes(value) || value === PRESET || value === NOT_SENT ? META_EVENTS : [value, ...META_EVENTS];
    const select = (to: string) => choose(to === PRESET ? undefined : to === NOT_SENT ? (row.to === null ? undefined : null) : to);
    return (
        <select aria-label={`What ${row.name} becomes`} value={value} onChange={(event) => select(event.currentTarget.value)}>
            {row.to !== null && <option value={PRESET}>{row.to} (preset)</option>}
            <option value={NOT_SENT}>not sent</option>
            {all.map((name) => (
                <option key={name} value={name}>
                    {name}
                </option>
            ))}
        </select>
    );
}

type From = "event" | "constant" | "nothing" | "table";

function fromOf(entry: unknown): From {
    if (entry === null) return "nothing";
    if (typeof entry === "string" || Array.isArray(entry)) return "event";
    const keys = Object.keys(entry as Options);
    return keys.length === 1 && keys[0] === "value" ? "constant" : "table";
}

const pathsOf = (entry: unknown) => (Array.isArray(entry) ? entry.join(", ") : typeof entry === "string" ? entry : "");

function paths(text: string): string | string[] {
    const all = text.split(",").map((it) => it.trim());
    return all.length > 1 ? all : text.trim();
}

interface FieldProps {
    value: unknown;
    set: (value: unknown) => void;
    /** The parameters that there are. */
    keys: string[];
    preset: Preset | null;
    sent: SentFields | null;
}

/** How many of the explained events sent a parameter; of one that has parts, any of them. */
function sentBy(sent: SentFields, name: string): number {
    const parts = Object.entries(sent.parameters).filter(([it]) => it === name || it.startsWith(`${name}.`));
    return parts.reduce((most, [, { events }]) => Math.max(most, events), 0);
}

/** A parameter, which may break between its parts. */
function Parameter({ name }: { name: string }) {
    return (
        <code class="parts">
            {name.split(/(?<=[._])/).map((part) => (
                <>
                    {part}
                    <wbr />
                </>
            ))}
        </code>
    );
}

/** Paths that are listed before the rest is only counted. */
const LISTED = 3;

function Paths({ paths }: { paths: string[] }) {
    const more = paths.length - LISTED;
    return (
        <span title={paths.join(", ")}>
            <code>{paths.slice(0, LISTED).join(", ")}</code>
            {more > 0 && ` and ${more} more`}
        </span>
    );
}

/** Where the values of parameters come from: the user's choices, and the preset's below them. */
export function FieldMappings({ value, set, keys, preset, sent }: FieldProps) {
    const [name, setName] = useState("");
    const own = (value ?? {}) as Options;
    const put = (key: string, entry: unknown) => {
        const next = { ...own };
        if (entry === undefined) delete next[key];
        else next[key] = entry;
        set(Object.keys(next).length > 0 ? next : undefined);
    };
    return (
        <div>
            {Object.keys(own).length > 0 && (
                <div class="scroll">
                    <table class="mappings">
                        <thead>
                            <tr>
                                <th>Meta parameter</th>
                                <th>From</th>
                                <th>Paths, tried in order</th>
                                <th>
                                    <span class="hint">Change</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            {Object.entries(own).map(([key, entry]) => (
                                <FieldRow key={key} name={key} entry={entry} put={(entry) => put(key, entry)} preset={preset} sent={sent} />
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            <div class="bar">
                <input
                    type="text"
                    list="parameters"
                    aria-label="Meta parameter to change"
                    placeholder="custom_data.value"
                    autocomplete="off"
                    value={name}
                    onInput={(event) => setName(event.currentTarget.value)}
                />
                <datalist id="parameters">
                    {keys.map((key) => (
                        <option key={key} value={key} />
                    ))}
                </datalist>
                <button
                    type="button"
                    disabled={!name.trim() || name.trim() in own}
                    onClick={() => {
                        put(name.trim(), "");
                        setName("");
                    }}
                >
                    Change this parameter
                </button>
            </div>
            <PresetFields preset={preset} sent={sent} own={own} keys={keys} change={(name, paths) => put(name, paths.length === 1 ? paths[0] : paths)} />
        </div>
    );
}

interface PresetFieldProps {
    preset: Preset | null;
    sent: SentFields | null;
    own: Options;
    keys: string[];
    change: (name: string, paths: string[]) => void;
}

/** Where the preset looks for each parameter, what was sent most coming first. */
function PresetFields({ preset, sent, own, keys, change }: PresetFieldProps) {
    // What only steers the mapping is no parameter of Meta's.
    const fields = (preset?.fields ?? []).filter((it) => keys.includes(it.name) && !it.name.startsWith("source."));
    if (fields.length === 0) return null;
    const events = (name: string) => (sent && sent.events > 0 ? sentBy(sent, name) : null);
    const rows = fields.map((it) => ({ ...it, seen: events(it.name) })).sort((a, b) => (b.seen ?? 0) - (a.seen ?? 0));
    return (
        <details class="presetfields">
            <summary>Where the preset looks for each parameter ({fields.length})</summary>
            <p class="hint">
                {sent && sent.events > 0
                    ? `Counted in ${count(sent.events)} events of this sink that were explained while a page was open.`
                    : "How often each had a value is counted in the events that are explained while a page is open; there are none yet."}
            </p>
            <div class="scroll">
                <table class="plain">
                    <thead>
                        <tr>
                            <th>Meta parameter</th>
                            <th>Paths of the preset, tried in order</th>
                            <th class="n">Had a value</th>
                            <th>
                                <span class="hint">Change</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {rows.map(({ name, paths, seen }) => (
                            <tr key={name} class={name in own ? "changed" : ""}>
                                <td>
                                    <Parameter name={name} />
                                </td>
                                <td class="hint">
                                    <Paths paths={paths} />
                                </td>
                                <td class="n">{count(seen)}</td>
                                <td>
                                    {!(name in own) && (
                                        <button type="button" onClick={() => change(name, paths)} aria-label={`Change: ${name}`}>
                                            Change
                                        </button>
                                    )}
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </details>
    );
}

interface FieldRowProps {
    name: string;
    entry: unknown;
    put: (entry: unknown) => void;
    preset: Preset | null;
    sent: SentFields | null;
}

function FieldRow({ name, entry, put, preset, sent }: FieldRowProps) {
    // As it was typed: a path list is read again only when it is left.
    const [text, setText] = useState(() => pathsOf(entry));
    const from = fromOf(entry);
    const choose = (from: string) => put(from === "nothing" ? null : from === "constant" ? { value: "" } : paths(text));
    const ofPreset = preset?.fields?.find((it) => it.name === name)?.paths;
    const constant = from === "constant" ? String((entry as Options)["value"] ?? "") : "";
    return (
        <tr>
            <td>
                <Parameter name={name} />
            </td>
            <td>
                {from === "table" ? (
                    <span class="hint">a table</span>
                ) : (
                    <select aria-label={`Where ${name} comes from`} value={from} onChange={(event) => choose(event.currentTarget.value)}>
                        <option value="event">the event</option>
                        <option value="constant">a constant</option>
                        <option value="nothing">not sent</option>
                    </select>
                )}
            </td>
            <td>
                {from === "event" && (
                    <input
                        type="text"
                        aria-label={`Paths of ${name}`}
                        placeholder="properties.total"
                        value={text}
                        onInput={(event) => {
                            setText(event.currentTarget.value);
                            put(paths(event.currentTarget.value));
                        }}
                    />
                )}
                {from === "constant" && (
                    <input type="text" aria-label={`Constant for ${name}`} value={constant} onInput={(event) => put({ value: event.currentTarget.value })} />
                )}
                {from === "table" && <code>{JSON.stringify(entry)}</code>}
                <div class="hint">
                    {ofPreset && (
                        <>
                            preset: <Paths paths={ofPreset} />
                        </>
                    )}
                    {sent && sent.events > 0 && (
                        <>
                            {ofPreset ? " · " : ""}now: {count(sentBy(sent, name))} of {count(sent.events)} events
                        </>
                    )}
                </div>
            </td>
            <td>
                <button type="button" onClick={() => put(undefined)} aria-label={`undo: ${name}`}>
                    undo
                </button>
            </td>
        </tr>
    );
}
