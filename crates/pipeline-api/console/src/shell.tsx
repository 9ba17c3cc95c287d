// What every page has: the state of the pipeline in the header, what needs a person, the token, and the help.
import { useEffect, useRef, useState } from "preact/hooks";
import { hasToken, setToken, tokenWanted } from "./api";
import { clock } from "./format";
import { SHORTCUTS, helpIsOpen } from "./keys";
import { status, statusError } from "./state";
import type { Attention, Sink } from "./types";

const ORDER = ["blocked", "backing_off", "paused", "sending"] as const;

function stateOf(sinks: Sink[]): { kind: string; text: string } {
    const running = sinks.filter((sink) => !sink.removed);
    const kind = ORDER.find((state) => running.some((sink) => sink.state === state));
    const sink = running.find((sink) => sink.state === kind);
    if (!kind || !sink) return { kind: "unknown", text: "no sink" };
    const name = running.length > 1 ? `${sink.name}: ` : "";
    if (kind === "backing_off") return { kind, text: `${name}backing off until ${clock(sink.until)}` };
    if (kind === "blocked") return { kind, text: `${name}blocked` };
    return { kind, text: kind === "paused" ? `${name}paused` : "sending" };
}

function link(finding: Attention): string {
    if (finding.link) return finding.link;
    return finding.code.includes("letter") ? "/letters" : "/pipeline";
}

function Finding({ finding }: { finding: Attention }) {
    const about = finding.component ? `${finding.component}: ` : "";
    return (
        <a class="finding" href={link(finding)} title={about + finding.message}>
            {about}
            {finding.message}
        </a>
    );
}

function AttentionLine({ findings }: { findings: Attention[] }) {
    const [isOpen, setOpen] = useState(false);
    const [first, ...more] = findings;
    if (!first) return null;
    return (
        <div class="attention" role="group" aria-label="What needs a person">
            <Finding finding={first} />
            {more.length > 0 && (
                <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
                    {more.length} more
                </button>
            )}
            {isOpen && (
                <div class="more">
                    {more.map((finding) => (
                        <Finding key={finding.code + finding.component} finding={finding} />
                    ))}
                </div>
            )}
        </div>
    );
}

export function State() {
    const now = status.value;
    if (statusError.value && statusError.value.status !== 401) {
        return (
            <>
                {now?.file && <span class="file">{fileName(now.file)}</span>}
                <span class="dot blocked">no answer from the server</span>
            </>
        );
    }
    if (!now) return <span class="file">–</span>;
    const state = now.stopping ? { kind: "paused", text: "stopping" } : stateOf(now.sinks);
    return (
        <>
            <span class="file" title={now.file ?? ""}>
                {now.file ? fileName(now.file) : "–"}
            </span>
            <span class={`dot ${state.kind}`}>{state.text}</span>
            <AttentionLine findings={now.attention} />
        </>
    );
}

const fileName = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** Asks for the token where the server wants one. */
export function TokenForm() {
    const submit = (event: SubmitEvent) => {
        event.preventDefault();
        const field = (event.currentTarget as HTMLFormElement).elements.namedItem("token") as HTMLInputElement;
        if (field.value) setToken(field.value);
    };
    return (
        <form class="empty" onSubmit={submit}>
            <p>
                <strong>This server wants its token.</strong>
            </p>
            <p>
                It is the value of <code>token</code> in the section <code>api</code> of the pipeline file. This tab keeps it
                until it is closed.{hasToken() && <strong> The one that it has is not the server’s.</strong>}
            </p>
            <label>
                Token <input name="token" type="password" autocomplete="off" required />
            </label>{" "}
            <button type="submit" class="primary">
                Use it
            </button>
        </form>
    );
}

export function Dialogs() {
    const box = useRef<HTMLDialogElement>(null);
    const isOpen = helpIsOpen.value;
    useEffect(() => {
        if (isOpen) box.current?.showModal();
    }, [isOpen]);
    if (!isOpen) return null;
    const close = () => (helpIsOpen.value = false);
    return (
        <dialog ref={box} aria-label="Keys" onClose={close}>
            <h2>Keys</h2>
            <dl class="keys">
                {SHORTCUTS.map(([keys, what]) => (
                    <>
                        <dt>
                            <kbd>{keys}</kbd>
                        </dt>
                        <dd>{what}</dd>
                    </>
                ))}
            </dl>
            <button type="button" onClick={close}>
                Close
            </button>
        </dialog>
    );
}

export { tokenWanted };
