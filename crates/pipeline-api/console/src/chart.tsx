// A stacked area over time. The canvas is a picture: the sentence and the table beside it say the same.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

export interface Band {
    name: string;
    /** The custom property with its color. */
    color: string;
    values: (number | null)[];
}

interface Props {
    /** Unix seconds. */
    times: number[];
    /** From the bottom. */
    bands: Band[];
    sentence: string;
    /** Tells which point is under the pointer. */
    point: (index: number | null) => void;
}

/** Each band upon those below it. A point that is unknown in one band is drawn in none. */
function stacked(bands: Band[], length: number): (number | null)[][] {
    const below = new Array<number>(length).fill(0);
    return bands.map((band) =>
        band.values.map((value, i) => {
            if (value === null || value === undefined) return null;
            below[i] = (below[i] ?? 0) + value;
            return below[i]!;
        }),
    );
}

// Times of day, with seconds where the marks are less than a minute apart.
function clock(times: number[]): string[] {
    const end = times.length > 1 && times[1]! - times[0]! < 60 ? 19 : 16;
    return times.map((at) => new Date(at * 1000).toISOString().slice(11, end));
}

export function Chart({ times, bands, sentence, point }: Props) {
    const box = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | null>(null);
    // Drawn from the highest to the lowest, so that each covers what belongs to those below it.
    const data = [times, ...stacked(bands, times.length).reverse()] as uPlot.AlignedData;
    const latest = useRef(data);
    latest.current = data;

    useEffect(() => {
        const element = box.current!;
        const draw = () => {
            plot.current?.destroy();
            const style = getComputedStyle(element);
            const color = (name: string) => resolved(element, name);
            const axis = {
                stroke: color("--muted"),
                grid: { stroke: color("--line"), width: 1 },
                ticks: { stroke: color("--line"), width: 1 },
                font: `12px ${style.fontFamily}`,
            };
            plot.current = new uPlot(
                {
                    width: element.clientWidth,
                    height: element.clientHeight,
                    // Room for half of the last time.
                    padding: [8, 32, 0, 0],
                    legend: { show: false },
                    cursor: { y: false, drag: { x: false, y: false } },
                    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
                    axes: [
                        { ...axis, space: 80, values: (_, splits) => clock(splits) },
                        { ...axis, size: 62 },
                    ],
                    scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.05)] } },
                    series: [
                        {},
                        ...[...bands].reverse().map((band) => ({
                            label: band.name,
                            stroke: color(band.color),
                            fill: color(band.color),
                            width: 1,
                            points: { show: false },
                        })),
                    ],
                    hooks: { setCursor: [(it) => point(it.cursor.idx ?? null)] },
                },
                latest.current,
                element,
            );
        };
        draw();
        const sizes = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: element.clientHeight }));
        sizes.observe(element);
        const theme = matchMedia("(prefers-color-scheme: dark)");
        theme.addEventListener("change", draw);
        return () => {
            sizes.disconnect();
            theme.removeEventListener("change", draw);
            plot.current?.destroy();
            plot.current = null;
        };
    }, [bands.map((band) => band.name).join()]);

    useEffect(() => plot.current?.setData(data), [times, bands]);
    return <div class="chart" ref={box} role="img" aria-label={sentence} />;
}

/** A color as the canvas takes it: `light-dark()` is only known to the style sheet. */
function resolved(element: HTMLElement, name: string): string {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    element.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
}
