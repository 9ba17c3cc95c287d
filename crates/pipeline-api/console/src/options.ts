// The options of a sink while they are edited: reading and changing a place, and what differs from before.

export type Options = Record<string, unknown>;

const isObject = (value: unknown): value is Options => typeof value === "object" && value !== null && !Array.isArray(value);

export function read(options: Options, path: string[]): unknown {
    return path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), options);
}

/** A copy with this place changed; `undefined` removes it, and a group that is empty then. */
export function write(options: Options, path: string[], value: unknown): Options {
    const [key, ...rest] = path;
    if (key === undefined) return options;
    const copy = { ...options };
    if (rest.length === 0) {
        if (value === undefined) delete copy[key];
        else copy[key] = value;
        return copy;
    }
    const inner = write(isObject(copy[key]) ? (copy[key] as Options) : {}, rest, value);
    if (Object.keys(inner).length === 0) delete copy[key];
    else copy[key] = inner;
    return copy;
}

export interface Change {
    path: string;
    before: unknown;
    after: unknown;
}

export const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** What differs, place by place. */
export function changes(before: unknown, after: unknown, path = ""): Change[] {
    if (same(before, after)) return [];
    if (!isObject(before) || !isObject(after)) return [{ path, before, after }];
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => changes(before[key], after[key], path ? `${path}.${key}` : key));
}
