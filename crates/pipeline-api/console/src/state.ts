// What several pages need: the status, the labels of reasons, and rates between two looks at the counters.
import { signal } from "@preact/signals";
import { ask, tokenVersion, type Refusal } from "./api";
import { words } from "./format";
import type { Reason, Status } from "./types";

const STATUS_MS = 2000;
const REASONS_MS = 10_000;
/** The least time between two counts of the dead letters, which the server reads from the disk. */
const LETTERS_MS = 10_000;

export const status = signal<Status | null>(null);
export const statusError = signal<Refusal | null>(null);
/** The status before, for rates. */
export const earlier = signal<Status | null>(null);
export const reasons = signal<Reason[]>([]);
/** The dead letters of all sinks; `null` while that is not known. */
export const letters = signal<number | null>(null);

/** The labels of all reasons that have one, also of those that this run has not met. */
const labels = signal<Record<string, string>>({});

/** The short label of a reason: the server's, or its code as words. */
export const label = (code: string) => labels.value[code] ?? words(code);

async function look(): Promise<void> {
    try {
        const next = await ask<Status>("status");
        earlier.value = status.value;
        status.value = next;
        statusError.value = null;
        void lookAtLetters();
    } catch (error) {
        statusError.value = error as Refusal;
    }
}

async function lookAtReasons(): Promise<void> {
    try {
        const answer = await ask<{ reasons: Reason[]; known: { code: string; label: string }[] }>("reasons");
        reasons.value = answer.reasons;
        labels.value = Object.fromEntries(answer.known.map(({ code, label }) => [code, label]));
    } catch {
        // The codes are shown as words.
    }
}

/** What the dead letters were counted for, and when. */
let counted = { key: "", at: 0 };

/** Counts the dead letters where they may have changed: their bytes, or what was rejected. */
async function lookAtLetters(): Promise<void> {
    const now = status.value;
    if (!now || Date.now() - counted.at < LETTERS_MS) return;
    const key = JSON.stringify(now.sinks.map((sink) => [sink.name, sink.dead_letters?.bytes, sink.counts.rejected]));
    if (key === counted.key) return;
    counted = { key, at: Date.now() };
    try {
        countLetters(await ask<{ sinks: { letters: number }[] }>("letters"));
    } catch {
        letters.value = null;
    }
}

export function countLetters({ sinks }: { sinks: { letters: number }[] }): void {
    letters.value = sinks.reduce((sum, sink) => sum + sink.letters, 0);
}

export function watch(): void {
    const turn = (look: () => Promise<void>, ms: number) => {
        const next = async () => {
            if (!document.hidden) await look();
            window.setTimeout(next, ms);
        };
        void next();
    };
    turn(look, STATUS_MS);
    turn(lookAtReasons, REASONS_MS);
    tokenVersion.subscribe((version) => {
        if (version > 0) {
            void look();
            void lookAtReasons();
        }
    });
    document.addEventListener("visibilitychange", () => {
        if (!document.hidden) void look();
    });
}

/** A second's share of what was counted between the last two looks. */
export function perSecond(of: (status: Status) => number | undefined): number | null {
    const [now, before] = [status.value, earlier.value];
    if (!now || !before || now.started !== before.started) return null;
    const seconds = (Date.parse(now.now) - Date.parse(before.now)) / 1000;
    const [a, b] = [of(now), of(before)];
    return seconds > 0 && a !== undefined && b !== undefined ? Math.max(0, a - b) / seconds : null;
}
