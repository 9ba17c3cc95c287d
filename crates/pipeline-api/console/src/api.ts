// Questions to the server: the token, errors as sentences, and answers that are asked for again and again.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

const TOKEN = "pipeline-token";

/** Whether the server wants a token that this page does not have. */
export const tokenWanted = signal(false);
/** Changes when the token changes, so that pages ask again. */
export const tokenVersion = signal(0);

/** Takes the token out of the address, so that it is neither kept in the history nor sent on. */
export function takeToken(): void {
    const token = /^#token=(.+)$/.exec(location.hash)?.[1];
    if (!token) return;
    sessionStorage.setItem(TOKEN, decodeURIComponent(token));
    history.replaceState(null, "", location.pathname + location.search);
}

export function setToken(token: string): void {
    sessionStorage.setItem(TOKEN, token);
    tokenWanted.value = false;
    tokenVersion.value += 1;
}

export function hasToken(): boolean {
    return sessionStorage.getItem(TOKEN) !== null;
}

/** An answer that is not the one that was asked for. */
export class Refusal extends Error {
    constructor(
        readonly status: number,
        readonly code: string,
        message: string,
        readonly problems: Problem[] = [],
    ) {
        super(message);
    }
}

export interface Problem {
    path: string;
    problem: string;
    expected: string;
}

export function headers(more: Record<string, string> = {}): Record<string, string> {
    const token = sessionStorage.getItem(TOKEN);
    return token ? { ...more, authorization: `Bearer ${token}` } : more;
}

/** The error that an answer is. */
export async function refusal(response: Response): Promise<Refusal> {
    let error: { code?: string; message?: string; problems?: Problem[] } = {};
    try {
        error = (await response.json()).error ?? {};
    } catch {
        // A proxy's page, for instance.
    }
    const message = error.message ?? `the server answered ${response.status}`;
    if (response.status === 401) tokenWanted.value = true;
    return new Refusal(response.status, error.code ?? "", message, error.problems);
}

/** How often, and after which pause, is asked again what others keep the server too busy for. */
const BUSY_ROUNDS = 10;
const BUSY_MS = 300;

/** Asks, and gives the answer, or throws a `Refusal`. Waits for its turn where the server answers few such questions at a time. */
export async function ask<T>(path: string, method = "GET", body?: unknown, more: Record<string, string> = {}): Promise<T> {
    for (let round = 0; ; round++) {
        try {
            return await askOnce<T>(path, method, body, more);
        } catch (error) {
            // Nothing was done then.
            if (!(error instanceof Refusal) || error.code !== "busy" || round >= BUSY_ROUNDS) throw error;
            await new Promise((resolve) => window.setTimeout(resolve, BUSY_MS));
        }
    }
}

async function askOnce<T>(path: string, method: string, body: unknown, more: Record<string, string>): Promise<T> {
    let response: Response;
    try {
        response = await fetch(`/api/v1/${path}`, {
            method,
            headers: headers(body === undefined ? more : { ...more, "content-type": "application/json" }),
            body: body === undefined ? undefined : JSON.stringify(body),
        });
    } catch {
        throw new Refusal(0, "unreachable", "the server does not answer; it may have been stopped");
    }
    if (!response.ok) throw await refusal(response);
    return (await response.json()) as T;
}

export interface Answer<T> {
    data: T | null;
    error: Refusal | null;
    /** Asks again at once. */
    again: () => void;
}

/** The answer at a path, asked for again every `ms` while the page is visible. The last answer stays when one fails. */
export function useAnswer<T>(path: string | null, ms = 0): Answer<T> {
    const [state, setState] = useState<{ path: string | null; data: T | null; error: Refusal | null }>({
        path,
        data: null,
        error: null,
    });
    const [round, setRound] = useState(0);
    const version = tokenVersion.value;
    useEffect(() => {
        if (path === null) return;
        let timer = 0;
        let isOver = false;
        const turn = async () => {
            if (!document.hidden) {
                try {
                    const data = await ask<T>(path);
                    if (!isOver) setState({ path, data, error: null });
                } catch (error) {
                    const refused = error as Refusal;
                    if (!isOver) setState((old) => ({ path, data: old.path === path ? old.data : null, error: refused }));
                }
            }
            if (!isOver && ms > 0) timer = window.setTimeout(turn, ms);
        };
        void turn();
        return () => {
            isOver = true;
            clearTimeout(timer);
        };
    }, [path, ms, round, version]);
    const isCurrent = state.path === path;
    return {
        data: isCurrent ? state.data : null,
        error: isCurrent ? state.error : null,
        again: () => setRound((round) => round + 1),
    };
}
