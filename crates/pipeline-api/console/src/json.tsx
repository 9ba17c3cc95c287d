// JSON as people read it: indented, hashes shortened and grey, address and browser of the visitor shortened.
import type { ComponentChildren } from "preact";

const INDENT = "  ";
/** The longest line of a short list. */
const MAX_LINE = 60;
const HASH = /^[0-9a-f]{64}$/;
const SHORTENED = new Set(["client_ip_address", "client_user_agent"]);

export const shortHash = (text: string) => `${text.slice(0, 10)}…${text.slice(-6)}`;

function text(key: string, value: string): ComponentChildren {
    if (HASH.test(value)) return <i class="hash">"{shortHash(value)}"</i>;
    if (SHORTENED.has(key)) return <i class="hash">{JSON.stringify(value.length > 8 ? `${value.slice(0, 7)}…` : "…")}</i>;
    return <span class="str">{JSON.stringify(value)}</span>;
}

function node(key: string, value: unknown, indent: string): ComponentChildren {
    if (typeof value === "string") return text(key, value);
    if (value === null || typeof value !== "object") return <span class="num">{String(value)}</span>;
    const inner = indent + INDENT;
    if (Array.isArray(value)) {
        if (value.length === 0) return "[]";
        const parts = value.map((item) => node(key, item, inner));
        const isPlain = value.every((item) => item === null || typeof item !== "object");
        const length = isPlain ? value.reduce((sum: number, it) => sum + Math.min(String(it).length, 20), 0) : MAX_LINE;
        if (length < MAX_LINE) return ["[", ...parts.flatMap((part, i) => (i ? [", ", part] : [part])), "]"];
        return ["[\n", ...parts.flatMap((part, i) => [inner, part, i < parts.length - 1 ? ",\n" : "\n"]), indent, "]"];
    }
    const entries = Object.entries(value);
    if (entries.length === 0) return "{}";
    const lines = entries.flatMap(([name, item], i) => [
        inner,
        <span class="key">{JSON.stringify(name)}</span>,
        ": ",
        node(name, item, inner),
        i < entries.length - 1 ? ",\n" : "\n",
    ]);
    return ["{\n", ...lines, indent, "}"];
}

export function Json({ value, label }: { value: unknown; label: string }) {
    return (
        <pre class="json" tabIndex={0} role="region" aria-label={label}>
            {node("", value, "")}
        </pre>
    );
}

/** JSON out of a text; `undefined` where it is not. */
export function parse(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}
