// What the server answers. A field that an older server does not send is optional here, and shown as unknown.
import type { Problem } from "./api";

export type Fate = "delivered" | "filtered" | "rejected" | "retrying" | "held";
export const FATES: Fate[] = ["delivered", "filtered", "rejected", "retrying", "held"];

export interface Row {
    seq: number;
    time: string | null;
    name: string | null;
    destination_event: string | null;
    status: Fate;
    reason: string | null;
    source: string;
    sink: string;
    event_id: string | null;
    value?: number | null;
    currency?: string | null;
    /** A test event that was sent from these pages; no counter counts it. */
    test?: boolean;
}

export interface Exchange {
    attempt?: number;
    events?: number;
    status?: number | null;
    ms?: number;
    trace_id?: string | null;
    events_received?: number | null;
    code?: number | string | null;
    subcode?: number | string | null;
    message?: string | null;
    throttle?: Record<string, number>;
}

export interface LeftOut {
    why?: string;
    from?: string;
    detail?: string;
    looked_in?: string[];
    more?: LeftOut[];
}

export interface Attempt {
    attempt: number;
    time: string | null;
    status: Fate;
    detail?: string | null;
    exchange?: Exchange | null;
}

export interface Step {
    what: string;
    time?: string | null;
    detail?: string | null;
    attempt?: number;
}

export interface Explain {
    sent?: Record<string, { from?: string | string[]; rule?: string }>;
    left_out?: Record<string, LeftOut>;
    identifiers?: { carried?: Record<string, string>; absent?: Record<string, { strength?: string; looked_in?: string[] }> };
}

export interface Detail extends Row {
    detail?: string | null;
    destination_code?: string | null;
    place?: string | null;
    attempt?: number;
    payload_text?: string | null;
    bytes?: number | null;
    exchange?: Exchange | null;
    attempts?: Attempt[];
    explain?: Explain | null;
    not_explained?: string;
    received?: string | null;
    history?: Step[];
}

export interface Counts {
    read: number;
    resumed: number;
    delivered: number;
    filtered: Record<string, number>;
    rejected: Record<string, number>;
    dropped: number;
    held: number;
    retried: number;
}

export interface Buffer {
    type: string;
    events: number;
    bytes: number;
    max_events?: number | null;
    max_bytes?: number | null;
    percent: number;
    oldest_ms: number | null;
    full: boolean;
    writable: boolean;
}

export interface Sink {
    name: string;
    type: string;
    removed: boolean;
    state: "sending" | "backing_off" | "blocked" | "paused";
    until: string | null;
    reason: string | null;
    counts: Counts;
    buffer: Buffer | null;
    throttle_percent?: number | null;
    dead_letters?: { bytes: number; max_bytes: number; percent: number } | null;
}

export interface Source {
    name: string;
    type: string;
    state: string;
    address: string | null;
    received: number;
    last_received: string | null;
    problems: number;
}

export interface Attention {
    code: string;
    component?: string;
    message: string;
    link?: string | null;
}

export interface Status {
    version: string;
    started: string;
    now: string;
    file: string | null;
    writable?: boolean;
    stopping: boolean;
    sinks: Sink[];
    sources: Source[];
    attention: Attention[];
}

export interface Reason {
    code: string;
    fate: string;
    intentional: boolean;
    events: number;
    detail: string | null;
}

export type SinkCounts = Record<"delivered" | "filtered" | "rejected" | "retried" | "dropped" | "held", number>;

export interface Tick {
    events: Row[];
    counts: Record<string, SinkCounts>;
    not_shown: number;
    lagged: number;
}

export interface Series {
    step_secs: number;
    times: (number | string)[];
    delivered: (number | null)[];
    filtered: Record<string, (number | null)[]>;
    rejected: Record<string, (number | null)[]>;
    retried: (number | null)[];
    p50_ms: (number | null)[];
    p99_ms: (number | null)[];
    /** Why a part is not there. */
    problem?: string;
}

export interface Quality {
    about?: string;
    events: number;
    names: { name: string; events: number; identifiers: Record<string, number>; possible?: Record<string, number> }[];
    worst: {
        identifier: string;
        strength?: string;
        name: string;
        carried: number;
        events: number;
        looked_in?: string[];
    }[];
}

/** What the explained events sent, and from where. */
export interface SentFields {
    events: number;
    parameters: Record<string, { events: number; from: Record<string, number> }>;
}

export interface Secret {
    path: string;
    from: "environment" | "file";
    name?: string;
    set: boolean;
}

export interface Found extends Problem {
    level?: "error" | "note";
    option?: string | null;
}
