// Figures, times and names as the pages show them: UTC, 24 hours, and a dash for what is unknown.

export const UNKNOWN = "–";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

type Figure = number | null | undefined;

const isKnown = (value: Figure): value is number => typeof value === "number" && Number.isFinite(value);

export const count = (value: Figure) => (isKnown(value) ? whole.format(value) : UNKNOWN);

export const rate = (value: Figure) => (isKnown(value) ? (value >= 10 ? whole : tenth).format(value) : UNKNOWN);

/** `2026-11-27T12:38:23.122Z` as `12:38:23`, or with more of it. */
export function clock(time: string | null | undefined, digits: 8 | 12 = 8): string {
    const at = time ? new Date(time) : null;
    return at && !Number.isNaN(at.getTime()) ? at.toISOString().slice(11, 11 + digits) : UNKNOWN;
}

/** Day and time, for what may be of another day. */
export function stamp(time: string | null | undefined): string {
    const at = time ? new Date(time) : null;
    return at && !Number.isNaN(at.getTime()) ? at.toISOString().slice(0, 19).replace("T", " ") : UNKNOWN;
}

export function span(ms: Figure): string {
    if (!isKnown(ms)) return UNKNOWN;
    if (ms < 1000) return `${whole.format(ms)} ms`;
    const seconds = ms / 1000;
    if (seconds < 120) return `${tenth.format(seconds)} s`;
    if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
    return seconds < 172_800 ? `${whole.format(seconds / 3600)} h` : `${whole.format(seconds / 86_400)} days`;
}

export function bytes(value: Figure): string {
    if (!isKnown(value)) return UNKNOWN;
    if (value < 10_000) return `${whole.format(value)} bytes`;
    const units = ["KiB", "MiB", "GiB", "TiB"];
    let left = value / 1024;
    let unit = 0;
    while (left >= 1024 && unit < units.length - 1) {
        left /= 1024;
        unit += 1;
    }
    return `${tenth.format(left)} ${units[unit]}`;
}

/** An amount with the decimals that its currency has, and more where it has more. */
export function money(value: Figure, currency: string | null | undefined): string {
    if (!isKnown(value)) return "";
    let decimals = 0;
    try {
        decimals = new Intl.NumberFormat("en-US", { style: "currency", currency: currency ?? "" }).resolvedOptions().maximumFractionDigits ?? 0;
    } catch {
        // No currency, or none that is known.
    }
    const text = value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: Math.max(decimals, 3) });
    return currency ? `${text} ${currency}` : text;
}

export function percent(part: Figure, of: Figure): string {
    return isKnown(part) && isKnown(of) && of > 0 ? `${tenth.format((100 * part) / of)} %` : UNKNOWN;
}

/** A code of the server's as words, where it sent no label. */
export const words = (code: string) => code.replaceAll("_", " ");

export const plural = (n: number, one: string, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

export const sum = (values: Record<string, number>) => Object.values(values).reduce((sum, value) => sum + value, 0);
