// How well events can be matched: which identifiers they carry, and which are most worth adding.
import { useAnswer } from "../api";
import { UNKNOWN, count, percent } from "../format";
import { Empty, SinkChoice, Title, Trouble } from "../parts";
import { go, query, withQuery } from "../route";
import { status } from "../state";
import type { Quality } from "../types";

const EVERY_MS = 10_000;
/** How strong the shade of a full cell is, in percent. */
const SHADE = 32;
const ORDER = ["em", "ph", "external_id", "fn", "ln", "ge", "db", "ct", "st", "zp", "country", "client_ip_address", "client_user_agent", "fbc", "fbp"];
/** Short heads, so that all columns fit. */
const HEADS: Record<string, string> = { client_ip_address: "ip", client_user_agent: "user agent", external_id: "ext. id", country: "ctry" };

function columns(quality: Quality): string[] {
    const found = new Set(quality.names.flatMap((name) => Object.keys(name.identifiers)));
    const known = ORDER.filter((name) => found.has(name));
    return [...known, ...[...found].filter((name) => !ORDER.includes(name)).sort()];
}

export function QualityPage() {
    const sink = query.value.get("sink") ?? "";
    const { data, error } = useAnswer<Quality>(`quality${sink ? `?sink=${encodeURIComponent(sink)}` : ""}`, EVERY_MS);
    const sinks = (status.value?.sinks ?? []).filter((it) => !it.removed).map((it) => it.name);
    return (
        <>
            <Title text="Match quality">
                <span class="hint">an estimate of coverage, not Meta’s score</span>
            </Title>
            <div class="bar">
                <span class="hint">{data ? `of ${count(data.events)} mapped events since the start` : ""}</span>
                <span class="push" />
                <SinkChoice sinks={sinks} value={sink} choose={(sink) => go(withQuery({ sink }), false)} />
            </div>
            <Trouble error={error} what="the coverage of identifiers" />
            {data && data.events === 0 && (
                <div class="card">
                    <Empty title="No event has been mapped yet.">
                        <p>The table fills as events are mapped; filtered events do not count.</p>
                    </Empty>
                </div>
            )}
            {data && data.events > 0 && (
                <>
                    <Worst quality={data} />
                    <Coverage quality={data} />
                </>
            )}
        </>
    );
}

function Worst({ quality }: { quality: Quality }) {
    if (quality.worst.length === 0) return null;
    return (
        <>
            <h2>Most worth adding</h2>
            <div class="tiles wide">
                {quality.worst.map((it) => (
                    <div key={it.identifier + it.name} class="tile card">
                        <b>
                            <code>{it.identifier}</code>
                        </b>
                        <div>
                            carried by {percent(it.carried, it.events)} of <strong>{it.name}</strong>
                            <span class="hint">
                                {" "}
                                ({count(it.carried)} of {count(it.events)})
                            </span>
                        </div>
                        {it.strength && <div class="hint">weight for matching: {it.strength}</div>}
                        {it.looked_in && it.looked_in.length > 0 && (
                            <details>
                                <summary class="hint">where it was looked for</summary>
                                <code>{it.looked_in.join(", ")}</code>
                            </details>
                        )}
                    </div>
                ))}
            </div>
        </>
    );
}

function Coverage({ quality }: { quality: Quality }) {
    const heads = columns(quality);
    return (
        <div class="card scroll" tabIndex={0} role="region" aria-label="Coverage by Meta event and identifier">
            <table class="heat">
                <caption class="caption">Events that carry an identifier, in percent</caption>
                <thead>
                    <tr>
                        <th>Meta event</th>
                        <th class="n">Events</th>
                        {heads.map((name) => (
                            <th key={name} title={name}>
                                {HEADS[name] ?? name.replaceAll("_", " ")}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {quality.names.map((row) => (
                        <tr key={row.name}>
                            <td>{row.name}</td>
                            <td class="n">{count(row.events)}</td>
                            {heads.map((name) => (
                                <Cell key={name} carried={row.identifiers[name]} events={row.possible?.[name] ?? row.events} />
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function Cell({ carried, events }: { carried: number | undefined; events: number }) {
    if (carried === undefined || events === 0) return <td>{UNKNOWN}</td>;
    const share = carried / events;
    return (
        <td class="cell" style={{ "--share": `${Math.round(share * SHADE)}%` }} title={`${count(carried)} of ${count(events)}`}>
            {count(share * 100)}
        </td>
    );
}
