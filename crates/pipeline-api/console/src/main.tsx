// Starts the pages: the shell is in the HTML already; this fills it.
import "./kit";
import { effect } from "@preact/signals";
import { render, type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { takeToken, tokenWanted } from "./api";
import { count } from "./format";
import { helpIsOpen, listenToKeys } from "./keys";
import { Empty, Title } from "./parts";
import { EventsPage } from "./pages/events";
import { LettersPage } from "./pages/letters";
import { PipelinePage } from "./pages/pipeline";
import { QualityPage } from "./pages/quality";
import { TryPage } from "./pages/try";
import { followLinks, page } from "./route";
import { Dialogs, State, TokenForm } from "./shell";
import { letters, watch } from "./state";

const TITLES: Record<string, string> = {
    "/events": "Live events",
    "/delivery": "Delivery",
    "/quality": "Match quality",
    "/letters": "Dead letters",
    "/pipeline": "Pipeline",
    "/setup": "Set-up",
    "/try": "Try an event",
};

/** A page whose code is loaded when it is opened first. */
function lazy(load: () => Promise<ComponentType>): ComponentType {
    let loaded: ComponentType | null = null;
    return function Lazy() {
        const [Page, setPage] = useState<{ it: ComponentType } | null>(loaded ? { it: loaded } : null);
        const [isFailed, setFailed] = useState(false);
        useEffect(() => {
            if (Page) return;
            load().then(
                (it) => {
                    loaded = it;
                    setPage({ it });
                },
                () => setFailed(true),
            );
        }, []);
        if (isFailed) return <Empty title="This page could not be loaded: the server does not answer." />;
        return Page ? <Page.it /> : null;
    };
}

const PAGES: Record<string, ComponentType> = {
    "/events": EventsPage,
    "/delivery": lazy(async () => (await import("./pages/delivery")).DeliveryPage),
    "/quality": QualityPage,
    "/letters": LettersPage,
    "/pipeline": PipelinePage,
    "/setup": lazy(async () => (await import("./pages/setup")).SetupPage),
    "/try": TryPage,
};

function Main() {
    if (tokenWanted.value) {
        return (
            <>
                <Title text={TITLES[page.value] ?? "pipeline"} />
                <TokenForm />
            </>
        );
    }
    const Page = PAGES[page.value];
    return Page ? <Page key={page.value} /> : <Empty title="There is no such page." />;
}

function fillNavigation(): void {
    const badge = document.getElementById("letters-badge")!;
    let before = "";
    effect(() => {
        const title = TITLES[page.value] ?? "pipeline";
        document.title = `${title} – pipeline`;
        for (const link of document.querySelectorAll<HTMLAnchorElement>("#nav a")) {
            if (link.pathname === page.value) link.setAttribute("aria-current", "page");
            else link.removeAttribute("aria-current");
        }
        if (before && before !== page.value) document.getElementById("main")!.focus();
        before = page.value;
    });
    effect(() => {
        badge.textContent = letters.value ? count(letters.value) : "";
        badge.title = letters.value ? "letters that wait to be sent again or deleted" : "";
    });
}

takeToken();
followLinks();
listenToKeys();
fillNavigation();
watch();
render(<State />, document.getElementById("state")!);
render(<Main />, document.getElementById("main")!);
render(<Dialogs />, document.getElementById("dialog")!);
effect(() => void helpIsOpen.value);
