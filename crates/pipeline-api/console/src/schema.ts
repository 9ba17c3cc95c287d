// The JSON Schema of a sink as a list of fields that a form can draw. Whatever fits no kind here becomes a
// field of JSON text, so that no option is left out.

export interface Schema {
    $ref?: string;
    $defs?: Record<string, Schema>;
    type?: string | string[];
    const?: unknown;
    enum?: unknown[];
    anyOf?: Schema[];
    oneOf?: Schema[];
    properties?: Record<string, Schema>;
    required?: string[];
    additionalProperties?: boolean | Schema;
    items?: Schema;
    pattern?: string;
    description?: string;
    default?: unknown;
    writeOnly?: boolean;
    minimum?: number;
    maximum?: number;
}

export interface Choice {
    value: string;
    note: string;
}

export type Kind =
    | { is: "text" }
    | { is: "number"; integer: boolean; min?: number; max?: number }
    | { is: "yes" }
    | { is: "choice"; of: Choice[]; open: boolean }
    | { is: "list"; of: Choice[] }
    | { is: "map"; of: Choice[] }
    | { is: "paths"; keys: string[] }
    | { is: "group"; fields: Field[] }
    | { is: "secret" }
    | { is: "json" };

export interface Field {
    key: string;
    path: string[];
    description: string;
    required: boolean;
    default: unknown;
    kind: Kind;
}

/** Groups inside groups that are drawn. */
const MAX_DEPTH = 4;

/** A text that is filled in from the environment is possible everywhere. */
const isVariable = (schema: Schema) => schema.pattern === "\\$\\{" && schema.type === "string";

function resolve(schema: Schema, root: Schema): Schema {
    let { $ref, ...rest } = schema;
    let found = rest as Schema;
    for (let depth = 0; $ref && depth < MAX_DEPTH; depth += 1) {
        const target: Schema = root.$defs?.[$ref.replace("#/$defs/", "")] ?? {};
        const { $ref: next, ...more } = target;
        found = { ...more, ...found, properties: merged(more.properties, found.properties) };
        $ref = next;
    }
    const alternatives = found.anyOf ?? found.oneOf;
    if (!alternatives) return found;
    const real = alternatives.filter((it) => it.type !== "null" && !isVariable(it));
    if (real.length !== 1) return { ...found, anyOf: real, oneOf: undefined };
    const { anyOf: _, oneOf: __, ...outer } = found;
    return { ...resolve(real[0]!, root), ...outer };
}

/** What a use of a definition says of a property is laid over what the definition says. */
function merged(below: Schema["properties"], above: Schema["properties"]): Schema["properties"] {
    if (!below || !above) return above ?? below;
    const all = { ...below };
    for (const [name, schema] of Object.entries(above)) all[name] = { ...below[name], ...schema };
    return all;
}

function choices(schema: Schema, root: Schema): { of: Choice[]; open: boolean } | null {
    const texts = (values: unknown[]) => values.map((value) => ({ value: String(value), note: "" }));
    if (schema.enum) return { of: texts(schema.enum.filter((it) => it !== null)), open: false };
    const of: Choice[] = [];
    let open = false;
    for (const alternative of schema.anyOf ?? []) {
        const it = resolve(alternative, root);
        if (it.const !== undefined) of.push({ value: String(it.const), note: it.description ?? "" });
        else if (it.enum) of.push(...texts(it.enum));
        else if (it.anyOf) of.push(...(choices(it, root)?.of ?? []));
        // The form that is more than a name is written as JSON.
        else if (it.type === "object") open = true;
        else if (it.type === "string" || (Array.isArray(it.type) && it.type.includes("string"))) open = true;
        else return null;
    }
    return of.length > 0 ? { of, open } : null;
}

function kindOf(schema: Schema, root: Schema, path: string[]): Kind {
    if (schema.writeOnly) return { is: "secret" };
    const choice = choices(schema, root);
    if (choice) return { is: "choice", ...choice };
    const types = new Set([schema.type ?? []].flat());
    if (types.has("boolean")) return { is: "yes" };
    const values = typeof schema.additionalProperties === "object" ? resolve(schema.additionalProperties, root) : null;
    if (types.has("object") && path.length === 1 && path[0] === "field_mappings") {
        return { is: "paths", keys: Object.keys(schema.properties ?? {}) };
    }
    if (types.has("object") && values && !schema.properties) {
        const of = choices(values, root);
        return of ? { is: "map", of: of.of } : { is: "json" };
    }
    if (types.has("object") && schema.properties && path.length < MAX_DEPTH && Object.keys(schema.properties).length <= 16) {
        return { is: "group", fields: fieldsOf(schema, root, path) };
    }
    if (types.has("array") && schema.items) {
        const items = resolve(schema.items, root);
        const of = choices(items, root)?.of ?? [];
        if (of.length > 0 || items.type === "string") return { is: "list", of };
    }
    if ((types.has("integer") || types.has("number")) && (schema.default === null || typeof schema.default === "number" || !types.has("string") || schema.pattern === "\\$\\{")) {
        return { is: "number", integer: types.has("integer") && !types.has("number"), min: schema.minimum, max: schema.maximum };
    }
    if (types.has("string")) return { is: "text" };
    return { is: "json" };
}

function fieldsOf(schema: Schema, root: Schema, path: string[]): Field[] {
    const required = new Set(schema.required);
    return Object.entries(schema.properties ?? {}).map(([key, raw]) => {
        const resolved = resolve(raw, root);
        return {
            key,
            path: [...path, key],
            description: raw.description ?? resolved.description ?? "",
            required: required.has(key),
            default: resolved.default,
            kind: kindOf(resolved, root, [...path, key]),
        };
    });
}

/** Every option of a sink. */
export const fields = (root: Schema): Field[] => fieldsOf(resolve(root, root), root, []);
