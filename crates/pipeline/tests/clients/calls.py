"""The calls that every client of Python makes: rounds of a track, a track without consent, a page and an identify.

Arguments: URL, write key, prefix of the event ids, rounds, milliseconds between two rounds.
"""

import json
import sys
import time

url, key, prefix, rounds, pause = sys.argv[1:6]
page = {"url": "https://shop.example/sofas", "title": "Sofas"}
user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"


def calls(client, consent):
    for number in range(int(rounds)):
        user = f"user-{number}"
        traits = {"email": f"ottilie.quandt+{number}@example.org"}
        silent = {"traits": traits, "page": page, "userAgent": user_agent}
        context = {**silent, **consent, "ip": "203.0.113.9"}
        properties = {"product_id": "p-1", "price": 5, "currency": "EUR"}
        event = "Product Added"
        client.track(user, event, properties, context, message_id=f"{prefix}-track-{number}")
        client.track(user, event, properties, silent, message_id=f"{prefix}-silent-{number}")
        client.page(user, None, "Sofas", page, context, message_id=f"{prefix}-page-{number}")
        client.identify(user, traits, context, message_id=f"{prefix}-identify-{number}")
        time.sleep(int(pause) / 1000)


def run(make, consent):
    """The last line says which events the client gave up."""
    gave_up = []

    def on_error(_, batch):
        gave_up.extend(message["messageId"] for message in batch)

    client = make(url, key, on_error)
    calls(client, consent)
    client.flush()
    client.join()
    print(json.dumps({"gave_up": gave_up}))
