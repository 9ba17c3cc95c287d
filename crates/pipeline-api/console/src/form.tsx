// A form for the options of a sink, drawn from its schema. An empty field writes nothing, so what was not chosen stays the default.
import { useState } from "preact/hooks";
import { Fragment, type ComponentChildren } from "preact";
import { FieldMappings, type Preset } from "./pages/mappings";
import { PresetCards } from "./pages/presets";
import { Prose } from "./parts";
import { read, same, write, type Options } from "./options";
import type { Field, Kind } from "./schema";
import type { Found, Secret, SentFields } from "./types";

/** Options that have a part of the page of their own, or are not for this page. */
const ELSEWHERE = new Set(["type", "event_mappings"]);
/** Sections, in this order; an option that is in none appears under the last one. */
const SECTIONS: [string, string[]][] = [
    ["Where to", ["inputs", "preset", "pixel_id", "access_token", "access_token_file", "test_event_code"]],
    ["Consent", ["consent_categories", "consent", "integration_names"]],
    [
        "Fields",
        ["unmapped_events", "field_mappings", "default_currency", "default_country", "time_zone", "external_id", "generate_fbp", "limited_data_use", "action_source"],
    ],
];
const REST = "Delivery and everything else";

interface Props {
    fields: Field[];
    draft: Options;
    saved: Options;
    problems: Found[];
    secrets: Secret[];
    /** The table of the preset, and what events sent, for the field mappings. */
    preset: Preset | null;
    sent: SentFields | null;
    change: (options: Options) => void;
    /** What comes behind the first section. */
    children?: ComponentChildren;
}

export function Form(props: Props) {
    const all = props.fields.filter((field) => !ELSEWHERE.has(field.key));
    const named = new Set(SECTIONS.flatMap(([, keys]) => keys));
    const of = (keys: string[]) => keys.flatMap((key) => all.filter((field) => field.key === key));
    const rest = all.filter((field) => !named.has(field.key));
    return (
        <>
            {SECTIONS.map(([title, keys], i) => (
                <Fragment key={title}>
                    <fieldset>
                        <legend>{title}</legend>
                        {of(keys).map((field) => (
                            <FieldView key={field.key} field={field} {...props} />
                        ))}
                    </fieldset>
                    {i === 0 && props.children}
                </Fragment>
            ))}
            <details class="card pad">
                <summary>
                    <strong>{REST}</strong>
                </summary>
                {rest.map((field) => (
                    <FieldView key={field.key} field={field} {...props} />
                ))}
            </details>
        </>
    );
}

type ViewProps = Omit<Props, "fields" | "children"> & { field: Field };

const isOf = (problem: Found, path: string) => problem.option === path || (problem.option ?? "").startsWith(`${path}.`) || (problem.option ?? "").startsWith(`${path}[`);

/** The first sentence of a description, without what the field itself shows. */
const shortened = (text: string) => text.replace(/\s*Example: .*$/s, "").replace(/\s*\(default: [^)]*\)/, "");

const title = (key: string) => {
    const text = key.replaceAll("_", " ");
    return text.charAt(0).toUpperCase() + text.slice(1);
};

function FieldView(props: ViewProps) {
    const { field, draft, saved, problems, change } = props;
    const path = field.path.join(".");
    const value = read(draft, field.path);
    const isChanged = !same(value, read(saved, field.path));
    const found = field.kind.is === "group" ? [] : problems.filter((it) => isOf(it, path));
    const id = `field-${path}`;
    const set = (value: unknown) => change(write(draft, field.path, value));
    if (field.kind.is === "group") {
        const { fields } = field.kind;
        return (
            <fieldset class={isChanged ? "changed" : ""} id={`option-${path}`} data-option={path}>
                <legend>
                    {title(field.key)} <code class="muted">{field.key}</code>
                </legend>
                <p class="hint">
                    <Prose text={shortened(field.description)} />
                </p>
                {fields.map((inner) => (
                    <FieldView {...props} key={inner.key} field={inner} />
                ))}
            </fieldset>
        );
    }
    return (
        <div class={`field ${isChanged ? "changed" : ""}`} id={`option-${path}`} data-option={path}>
            <div class="label">
                <label for={id}>{title(field.key)}</label> <code class="muted">{field.key}</code>
                {field.required && <span class="hint"> required</span>}
                {isChanged && (
                    <button type="button" class="undo" onClick={() => set(read(saved, field.path))} aria-label={`undo: ${field.key}`}>
                        undo
                    </button>
                )}
            </div>
            <div class="hint" id={`${id}-about`}>
                <Prose text={shortened(field.description)} />
            </div>
            <Control {...props} id={id} value={value} set={set} kind={field.kind} isWrong={found.length > 0} />
            {found.map((it) => (
                <div key={it.problem} class={it.level === "note" ? "hint" : "error"}>
                    <Prose text={it.problem + (it.expected ? `; expected ${it.expected}` : "")} />
                </div>
            ))}
        </div>
    );
}

type ControlProps = ViewProps & { id: string; value: unknown; set: (value: unknown) => void; kind: Kind; isWrong: boolean };

const placeholder = (value: unknown) => (value === undefined || value === null || value === "" ? "" : `default: ${typeof value === "object" ? JSON.stringify(value) : value}`);

function Control(props: ControlProps) {
    const { id, value, set, kind, field, isWrong, secrets } = props;
    const common = { id, "aria-describedby": `${id}-about`, "aria-invalid": isWrong };
    if (kind.is === "secret") {
        const secret = secrets.find((it) => it.path.endsWith(`.${field.path.join(".")}`));
        const where = !secret ? "not set" : secret.from === "environment" ? `from the environment, ${secret.name}, ${secret.set ? "set" : "not set"}` : "set in the file";
        return (
            <output {...common} class="secret">
                {where} <span class="hint">never shown</span>
            </output>
        );
    }
    // What the file takes from the environment stays a text.
    const isVariable = typeof value === "string" && value.includes("${");
    if (kind.is === "yes" && !isVariable) {
        const shown = value === undefined ? "" : String(value);
        return (
            <select {...common} value={shown} onChange={(event) => set(event.currentTarget.value === "" ? undefined : event.currentTarget.value === "true")}>
                <option value="">{placeholder(field.default) || "default"}</option>
                <option value="true">yes</option>
                <option value="false">no</option>
            </select>
        );
    }
    if (kind.is === "choice" && field.path.join() === "preset" && typeof value === "string" && !isVariable) {
        return <PresetCards id={id} type={String(props.draft["type"])} value={value} set={set} />;
    }
    if (kind.is === "choice" && !isVariable && (value === undefined || typeof value === "string")) return <ChoiceControl {...props} kind={kind} common={common} />;
    if (kind.is === "map" && !isVariable) return <MapControl {...props} of={kind.of.map((it) => it.value)} />;
    if (kind.is === "paths" && !isVariable) return <FieldMappings value={value} set={set} keys={kind.keys} preset={props.preset} sent={props.sent} />;
    if (kind.is === "list" && kind.of.length > 0) return <Boxes {...props} of={kind.of.map((it) => it.value)} />;
    if (kind.is === "list" || kind.is === "json" || (typeof value === "object" && value !== null)) return <JsonControl {...props} common={common} />;
    const text = value === undefined || value === null ? "" : String(value);
    const typed = (text: string) => {
        if (text === "") return undefined;
        return kind.is === "number" && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    };
    return (
        <input
            {...common}
            type="text"
            inputMode={kind.is === "number" ? "decimal" : undefined}
            autocomplete="off"
            spellcheck={false}
            value={text}
            placeholder={placeholder(field.default)}
            onInput={(event) => set(typed(event.currentTarget.value))}
        />
    );
}

function ChoiceControl({ value, set, field, kind, common }: ControlProps & { kind: Extract<Kind, { is: "choice" }>; common: object }) {
    const note = kind.of.find((it) => it.value === value)?.note;
    const isOther = typeof value === "string" && !kind.of.some((it) => it.value === value);
    return (
        <>
            <select {...common} value={value === undefined ? "" : String(value)} onChange={(event) => set(event.currentTarget.value || undefined)}>
                {!field.required && <option value="">{placeholder(field.default) || "default"}</option>}
                {isOther && <option value={String(value)}>{String(value)}</option>}
                {kind.of.map((it) => (
                    <option key={it.value} value={it.value}>
                        {it.value}
                    </option>
                ))}
            </select>
            {note && (
                <div class="hint">
                    <Prose text={note} />
                </div>
            )}
        </>
    );
}

function Boxes({ value, set, of, field }: ControlProps & { of: string[] }) {
    const chosen = Array.isArray(value) ? (value as string[]) : [];
    const toggle = (name: string) => {
        const next = chosen.includes(name) ? chosen.filter((it) => it !== name) : [...chosen, name];
        set(next.length > 0 ? next : undefined);
    };
    return (
        <div class="bar" role="group" aria-label={field.key}>
            {of.map((name) => (
                <label key={name} class="box">
                    <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} /> {name}
                </label>
            ))}
        </div>
    );
}

/** Names of the user's own, each with one of a few values. */
function MapControl({ value, set, of, field }: ControlProps & { of: string[] }) {
    const [name, setName] = useState("");
    const map = (value ?? {}) as Options;
    const put = (name: string, to: string | undefined) => {
        const next = write(map, [name], to);
        set(Object.keys(next).length > 0 ? next : undefined);
    };
    return (
        <div>
            {Object.entries(map).map(([name, to]) => (
                <div class="bar" key={name}>
                    <code>{name}</code>
                    <select aria-label={`What ${name} means`} value={String(to)} onChange={(event) => put(name, event.currentTarget.value)}>
                        {of.map((it) => (
                            <option key={it}>{it}</option>
                        ))}
                    </select>
                    <button type="button" onClick={() => put(name, undefined)} aria-label={`remove: ${name}`}>
                        remove
                    </button>
                </div>
            ))}
            <div class="bar">
                <input
                    type="text"
                    aria-label={`New name in ${field.key}`}
                    autocomplete="off"
                    value={name}
                    onInput={(event) => setName(event.currentTarget.value)}
                />
                <button
                    type="button"
                    disabled={!name.trim() || name in map}
                    onClick={() => {
                        put(name.trim(), of[0]);
                        setName("");
                    }}
                >
                    Add
                </button>
            </div>
        </div>
    );
}

/** A value of any form, as JSON; a list of texts may be written with commas. */
function JsonControl({ value, set, kind, common }: ControlProps & { common: object }) {
    const isList = kind.is === "list" && (value === undefined || (Array.isArray(value) && value.every((it) => typeof it === "string" && !it.includes(","))));
    const print = () => (value === undefined ? "" : isList ? (value as string[]).join(", ") : JSON.stringify(value, null, 2));
    const [text, setText] = useState(print);
    const [isBroken, setBroken] = useState(false);
    const input = (text: string) => {
        setText(text);
        setBroken(false);
        if (text.trim() === "") return set(undefined);
        if (isList) return set(text.split(",").map((it) => it.trim()).filter(Boolean));
        try {
            set(JSON.parse(text));
        } catch {
            setBroken(true);
        }
    };
    if (isList) return <input {...common} type="text" autocomplete="off" value={text} onInput={(event) => input(event.currentTarget.value)} />;
    return (
        <>
            <textarea {...common} rows={Math.min(12, Math.max(2, text.split("\n").length))} spellcheck={false} value={text} onInput={(event) => input(event.currentTarget.value)} />
            {isBroken && <div class="error">This is not JSON yet, so it does not count.</div>}
        </>
    );
}
