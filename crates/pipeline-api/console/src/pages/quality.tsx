import { Title } from "../parts";

export function QualityPage() {
    return <Title text="Quality" />;
}
