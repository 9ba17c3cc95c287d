// The stream of events: `fetch` and a reader, because the browser's own client sends no token. It is closed while the page is
// hidden, and opened again after 1, 2, 5, then every 10 seconds, from the last row that was seen.
import { Refusal, headers, refusal } from "./api";
import type { Tick } from "./types";

const PAUSES_MS = [1000, 2000, 5000, 10_000];

export interface Listener {
    tick: (tick: Tick) => void;
    /** Since when it is lost and why; `null` once it is back. */
    lost: (lost: Lost | null) => void;
}

export interface Lost {
    since: Date;
    why: string;
    /** Whether others follow the events, as many as the server allows. */
    isFull: boolean;
}

/** Follows the stream until the returned function is called. */
export function follow(query: string, listener: Listener): () => void {
    let isOver = false;
    let last: string | null = null;
    let failures = 0;
    let lostSince: Date | null = null;
    let timer = 0;
    let open: AbortController | null = null;

    const message = (text: string) => {
        let data = "";
        for (const line of text.split("\n")) {
            if (line.startsWith("id:")) last = line.slice(3).trim();
            if (line.startsWith("data:")) data += line.slice(5).trimStart();
        }
        if (!data) return;
        failures = 0;
        if (lostSince) {
            lostSince = null;
            listener.lost(null);
        }
        listener.tick(JSON.parse(data) as Tick);
    };

    const read = async () => {
        open = new AbortController();
        const more: Record<string, string> = { accept: "text/event-stream" };
        if (last !== null) more["last-event-id"] = last;
        const response = await fetch(`/api/v1/events/stream${query}`, { headers: headers(more), signal: open.signal });
        if (!response.ok || !response.body) throw await refusal(response);
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = "";
        for (;;) {
            const { done, value } = await reader.read();
            if (done) throw new Refusal(0, "ended", "the server closed the stream");
            text += value;
            const parts = text.split("\n\n");
            text = parts.pop() ?? "";
            parts.forEach(message);
        }
    };

    const run = () => {
        clearTimeout(timer);
        if (isOver || document.hidden) return;
        read().catch((error: unknown) => {
            if (isOver || document.hidden) return;
            lostSince ??= new Date();
            const why = error instanceof Refusal ? error.message : "the server does not answer";
            const isFull = error instanceof Refusal && error.code === "too_many_streams";
            listener.lost({ since: lostSince, why, isFull });
            timer = window.setTimeout(run, PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]);
            failures += 1;
        });
    };
    const visibility = () => {
        open?.abort();
        run();
    };
    document.addEventListener("visibilitychange", visibility);
    run();
    return () => {
        isOver = true;
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", visibility);
        open?.abort();
    };
}
