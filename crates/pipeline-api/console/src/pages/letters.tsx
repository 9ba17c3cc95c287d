import { Title } from "../parts";

export function LettersPage() {
    return <Title text="Letters" />;
}
