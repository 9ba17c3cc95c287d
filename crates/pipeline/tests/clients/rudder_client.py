"""`rudder-sdk-python`: only the host name is another one."""

from rudderstack.analytics.client import Client

from calls import run

run(
    lambda url, key, on_error: Client(key, host=url, on_error=on_error, upload_size=5, upload_interval=0.1),
    {"consentManagement": {"provider": "custom", "allowedConsentIds": ["C0004"], "deniedConsentIds": ["C0002"]}},
)
