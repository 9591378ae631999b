"""What signs in to the sandbox, by kind of destination: the settings of an account, for whoever wants to call it."""

from __future__ import annotations

import json

from reverse_etl_sandbox import hubspot, intercom, meta_ads
from reverse_etl_sandbox.zendesk import tokens as zendesk


def accounts(url: str) -> dict[str, dict[str, str]]:
    """``url`` is the sandbox's. Where a vendor takes any secret here, it is one that nobody takes for a real one."""
    return {
        "salesforce": {
            "base_url": f"{url}/salesforce",
            "client_id": "sandbox",
            "client_secret": "sandbox-secret",
        },
        "hubspot": {"base_url": f"{url}/hubspot", "access_token": hubspot.TOKEN},
        "intercom": {"base_url": f"{url}/intercom", "access_token": intercom.TOKEN},
        "zendesk": {
            "base_url": f"{url}/zendesk",
            "client_id": zendesk.CLIENT_ID,
            "client_secret": zendesk.CLIENT_SECRET,
        },
        "stripe": {
            "base_url": f"{url}/stripe",
            "meter_events_url": f"{url}/stripe",
            "secret_key": "rk_test_sandbox",
            "mode": "test",
        },
        "slack": {"base_url": f"{url}/slack/api", "token": "xoxb-sandbox"},
        "meta_ads": {"base_url": f"{url}/meta", "access_token": meta_ads.TOKEN},
        "google_ads": {
            "base_url": f"{url}/google_ads",
            "customer_id": "123-456-7890",
            "service_account": service_account(f"{url}/google_ads/token"),
        },
        "webhook": {"base_url": f"{url}/rest", "token": "hook-sandbox", "allow_private": "1"},
    }


def service_account(token_uri: str) -> str:
    """The key file of a Google service account, made anew; the sandbox takes any."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    return json.dumps({"client_email": "sync@sandbox.iam.example", "private_key": pem, "token_uri": token_uri})
