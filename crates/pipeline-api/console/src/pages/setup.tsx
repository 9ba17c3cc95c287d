import "../kit";
import { Title } from "../parts";

export function SetupPage() {
    return <Title text="Setup" />;
}
