"""Meta's library for Python: a purchase as JSON in, its server event as JSON out, on one thread.

    python3 python.py FILE
"""

import datetime
import json
import sys
import time

from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.gender import Gender
from facebook_business.adobjects.serverside.user_data import UserData

ROUNDS = 3


def mapped(event):
    traits, properties, context = event["traits"], event["properties"], event["context"]
    address, products = traits["address"], properties["products"]
    user = UserData(
        emails=[traits["email"]], phones=[traits["phone"]],
        first_names=[traits["firstName"]], last_names=[traits["lastName"]],
        dates_of_birth=[traits["birthday"].replace("-", "")],
        # It takes no text.
        genders=[Gender.FEMALE if traits["gender"][0].lower() == "f" else Gender.MALE],
        cities=[address["city"]], states=[address["state"]],
        zip_codes=[address["postalCode"]], country_codes=[address["country"]],
        external_ids=[event["userId"], event["anonymousId"]],
        client_ip_address=context["ip"], client_user_agent=context["userAgent"],
        fbp=context["fbp"], fbc=context["fbc"],
    )
    contents = [
        Content(
            product_id=product["product_id"], quantity=product["quantity"], item_price=product["price"],
            title=product["name"], brand=product["brand"], category=product["category"],
        )
        for product in products
    ]
    custom = CustomData(
        contents=contents, content_ids=[product["product_id"] for product in products], content_type="product",
        currency=properties["currency"], value=properties["value"], order_id=properties["order_id"],
        num_items=sum(product["quantity"] for product in products),
    )
    at = datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))
    return Event(
        event_name="Purchase", event_time=int(at.timestamp()), event_id=event["messageId"],
        action_source=ActionSource.WEBSITE, event_source_url=context["page"]["url"],
        referrer_url=context["page"]["referrer"], user_data=user, custom_data=custom,
    ).normalize()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = file.read().splitlines()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        size = sum(len(json.dumps(mapped(json.loads(line)))) for line in lines)
        best = min(best, time.process_time() - start)
    print(f"| Meta's Business SDK for Python, 26.0.3 | {len(lines) / best:.0f} | {size / len(lines):.0f} |")


main()
