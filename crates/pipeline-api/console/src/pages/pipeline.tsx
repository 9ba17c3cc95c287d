import { Title } from "../parts";

export function PipelinePage() {
    return <Title text="Pipeline" />;
}
