// The address: which page, with which filters. A view can be sent to a colleague as a link.
import { computed, signal } from "@preact/signals";

export const address = signal(new URL(location.href));
export const page = computed(() => (address.value.pathname === "/" ? "/events" : address.value.pathname));
export const query = computed(() => address.value.searchParams);

addEventListener("popstate", () => {
    address.value = new URL(location.href);
});

export function go(href: string, isNew = true): void {
    if (isNew) history.pushState(null, "", href);
    else history.replaceState(null, "", href);
    address.value = new URL(location.href);
}

/** The address of a page with these parameters changed; `null` removes one. */
export function withQuery(changes: Record<string, string | null>): string {
    const params = new URLSearchParams(query.value);
    for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === "") params.delete(name);
        else params.set(name, value);
    }
    const text = params.toString();
    return page.value + (text ? `?${text}` : "");
}

/** Follows links to pages of the console without loading the shell again. */
export function followLinks(): void {
    document.addEventListener("click", (event) => {
        const link = (event.target as Element | null)?.closest?.("a");
        if (!link || event.defaultPrevented || event.button !== 0) return;
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target) return;
        const url = new URL(link.href);
        if (url.origin !== location.origin || url.hash || url.pathname.startsWith("/assets/")) return;
        event.preventDefault();
        go(url.pathname + url.search);
    });
}
