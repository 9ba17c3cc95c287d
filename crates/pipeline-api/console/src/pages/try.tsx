import { Title } from "../parts";

export function TryPage() {
    return <Title text="Try" />;
}
