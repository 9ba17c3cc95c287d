// The keyboard: shortcuts, which are off while a field has the focus.
import { signal } from "@preact/signals";
import { go } from "./route";

export const helpIsOpen = signal(false);

const PAGES: Record<string, string> = {
    e: "/events",
    d: "/delivery",
    q: "/quality",
    l: "/letters",
    s: "/setup",
    p: "/pipeline",
    t: "/try",
};

export const SHORTCUTS: [string, string][] = [
    ["/", "search"],
    ["Space", "pause or resume the list"],
    ["j k ↓ ↑", "next and previous event"],
    ["Enter", "open the event"],
    ["Esc", "close"],
    ["g then e d q l p s t", "events, delivery, match quality, dead letters, pipeline, set-up, try"],
    ["?", "this help"],
];

type Handler = (event: KeyboardEvent) => boolean;
const handlers: Handler[] = [];

/** Gives the keys to a page first; the returned function takes them away. */
export function onKeys(handler: Handler): () => void {
    handlers.unshift(handler);
    return () => void handlers.splice(handlers.indexOf(handler), 1);
}

let wasG = 0;

export function listenToKeys(): void {
    document.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
        const target = event.target as HTMLElement;
        const isField = target.closest("input, textarea, select, [contenteditable]") !== null;
        if (isField) {
            if (event.key === "Escape") target.blur();
            return;
        }
        if (helpIsOpen.value) {
            if (event.key === "Escape" || event.key === "?") helpIsOpen.value = false;
            return;
        }
        // Space on a button presses it.
        if (event.key === " " && target.closest("button, summary, a[role=button]")) return;
        const isSecond = Date.now() - wasG < 1500;
        wasG = event.key === "g" ? Date.now() : 0;
        if (isSecond && PAGES[event.key]) {
            event.preventDefault();
            go(PAGES[event.key]!);
        } else if (event.key === "?") {
            helpIsOpen.value = true;
            event.preventDefault();
        } else if (handlers.some((handler) => handler(event))) {
            event.preventDefault();
        }
    });
}
