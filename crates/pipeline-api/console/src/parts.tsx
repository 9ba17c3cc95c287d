// Parts that several pages use.
import type { ComponentChildren } from "preact";
import type { Refusal } from "./api";
import type { Fate } from "./types";

const PATHS: Record<Fate, string> = {
    delivered: "M3 8.5l3.2 3.2L13 5",
    filtered: "M2.5 3.5h11L9.5 8.5v4l-3 1.5v-5.5z",
    rejected: "M4 4l8 8M12 4l-8 8",
    retrying: "M12.5 8a4.5 4.5 0 1 1-1.6-3.4M12.6 2.4v2.9H9.7",
    held: "M5.5 3.5v9M10.5 3.5v9",
};

export function FateIcon({ fate }: { fate: Fate }) {
    return (
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
            <path d={PATHS[fate]} />
        </svg>
    );
}

/** A fate as icon, word and color. */
export function FateMark({ fate }: { fate: Fate }) {
    return (
        <span class={`fate ${fate}`}>
            <FateIcon fate={fate} /> {fate}
        </span>
    );
}

/** Marks a test event, which no counter of the pipeline counts. */
export function TestMark() {
    return (
        <span class="mark" title="sent from these pages; no counter counts it">
            test
        </span>
    );
}

export function Title({ text, children }: { text: string; children?: ComponentChildren }) {
    return (
        <div class="title">
            <h1>{text}</h1>
            {children}
        </div>
    );
}

/** A sentence of the server's; what is between backticks is code. */
export function Prose({ text }: { text: string }) {
    return <>{text.split("`").map((part, i) => (i % 2 === 1 ? <code>{part}</code> : part))}</>;
}

/** Why there is nothing, and what fills it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
    return (
        <div class="empty">
            <p>
                <strong>{title}</strong>
            </p>
            {children}
        </div>
    );
}

/** What the server said instead of an answer. */
export function Trouble({ error, what }: { error: Refusal | null; what: string }) {
    if (!error) return null;
    const isAbsent = error.status === 404 && (error.code === "not_found" || error.code === "");
    return (
        <p class="notice" role="status">
            <Prose text={isAbsent ? `This server does not offer ${what}.` : `${capital(error.message)}.`} />
        </p>
    );
}

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** A choice of sinks; not shown where there is only one. */
export function SinkChoice({ sinks, value, choose }: { sinks: string[]; value: string; choose: (sink: string) => void }) {
    if (sinks.length < 2) return null;
    return (
        <select aria-label="Sink" value={value} onChange={(event) => choose(event.currentTarget.value)}>
            <option value="">All sinks</option>
            {sinks.map((sink) => (
                <option key={sink} value={sink}>
                    {sink}
                </option>
            ))}
        </select>
    );
}

/** Writes a text to the clipboard, and says so. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
    const copy = (event: MouseEvent) => {
        const button = event.currentTarget as HTMLButtonElement;
        const say = (word: string) => {
            button.textContent = word;
            window.setTimeout(() => (button.textContent = label), 1500);
        };
        navigator.clipboard.writeText(text).then(
            () => say("Copied"),
            () => say("Not allowed here"),
        );
    };
    return (
        <button type="button" onClick={copy}>
            {label}
        </button>
    );
}
