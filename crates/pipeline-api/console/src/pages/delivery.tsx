import { Title } from "../parts";

export function DeliveryPage() {
    return <Title text="Delivery" />;
}
