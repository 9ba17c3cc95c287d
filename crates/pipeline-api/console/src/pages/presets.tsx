// The presets of a type of sink as cards: what each is for, and what its events become.
import { useAnswer } from "../api";
import { Trouble } from "../parts";

interface Catalog {
    sinks: { type: string; presets?: { name: string; title: string; description: string; becomes?: string[] }[] }[];
}

interface Props {
    id: string;
    type: string;
    value: string;
    set: (name: string) => void;
}

export function PresetCards({ id, type, value, set }: Props) {
    const catalog = useAnswer<Catalog>("catalog");
    const presets = catalog.data?.sinks.find((sink) => sink.type === type)?.presets ?? [];
    const isKnown = presets.some((preset) => preset.name === value);
    return (
        <div class="presets" role="radiogroup" id={id} aria-label="Preset">
            <Trouble error={catalog.error} what="the list of presets" />
            {presets.map((preset) => (
                <label key={preset.name} class="preset">
                    <span>
                        <input type="radio" name={id} value={preset.name} checked={preset.name === value} onChange={() => set(preset.name)} />{" "}
                        <strong>{preset.title}</strong> <code class="muted">{preset.name}</code>
                    </span>
                    <span class="hint">{preset.description}</span>
                    {preset.becomes && <span class="hint">Meta events: {preset.becomes.join(", ")}</span>}
                </label>
            ))}
            {catalog.data && !isKnown && <p class="notice">No preset has the name “{value}”.</p>}
        </div>
    );
}
