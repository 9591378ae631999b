"""Where the demo lives: a folder that it makes afresh, and the variables that lead to it and to the sandbox."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from demo import data
from demo.stripe_accounts import open_accounts
from reverse_etl_assets import ConfigurationError

if TYPE_CHECKING:
    from reverse_etl_assets import Project

ROOT = Path(__file__).parents[1]

_MARK = "made-by-the-demo"


def fresh_folder(default: str) -> Path:
    """`REVERSE_ETL_HOME`, or a folder in `.reverse_etl`; emptied if the demo made it.

    Raises ConfigurationError for a folder with other things in it.
    """
    home = Path(os.environ.get("REVERSE_ETL_HOME") or ROOT / ".reverse_etl" / default).absolute()
    if home.exists() and any(home.iterdir()):
        if not (home / _MARK).exists():
            raise ConfigurationError(f"{home} holds something else, and the demo starts with an empty folder.")
        shutil.rmtree(home)
    (home / "dagster").mkdir(parents=True)
    (home / _MARK).touch()
    shutil.copy(ROOT / "dagster.yaml", home / "dagster")
    return home


def prepare(home: Path, sandbox: str, customers: int, seed: int, database: str = "") -> "Project":
    """Source data and environment; `database` is the address of the product's own.

    Raises ValueError if `customers` is out of range.
    """
    data.generate(home / "warehouse.duckdb", customers, seed)
    _enter(home, sandbox, database)
    _hurry(sandbox)
    open_accounts(sandbox, home / "warehouse.duckdb")
    # The deployment reads the environment when it is imported.
    from demo.deployment import project

    return project


def _enter(home: Path, sandbox: str, database: str) -> None:
    """Point this process and its children to the folder and the sandbox."""
    os.environ.pop("REVERSE_ETL_WAREHOUSE", None)
    os.environ.pop("REVERSE_ETL_JOURNAL", None)
    os.environ.update(
        REVERSE_ETL_HOME=str(home),
        DAGSTER_HOME=str(home / "dagster"),
        SALESFORCE_BASE_URL=f"{sandbox}/salesforce",
        SALESFORCE_CLIENT_ID="sandbox",
        SALESFORCE_CLIENT_SECRET="sandbox-secret",  # noqa: S106 - the sandbox takes any
        HUBSPOT_BASE_URL=f"{sandbox}/hubspot",
        HUBSPOT_ACCESS_TOKEN="pat-sandbox",  # noqa: S106 - the sandbox takes any
        SLACK_BASE_URL=f"{sandbox}/slack/api",
        SLACK_BOT_TOKEN="xoxb-sandbox",  # noqa: S106 - the sandbox takes any
        SLACK_ALERTS_CHANNEL="data-alerts",
        SLACK_REQUESTS_PER_SECOND="50",  # Slack's own is about one: see `_hurry`
        INTERCOM_BASE_URL=f"{sandbox}/intercom",
        INTERCOM_ACCESS_TOKEN="ic-sandbox",  # noqa: S106 - the one of the sandbox
        META_ADS_BASE_URL=f"{sandbox}/meta",
        META_ADS_ACCESS_TOKEN="EAAsandbox",  # noqa: S106 - the one of the sandbox
        GOOGLE_ADS_BASE_URL=f"{sandbox}/google_ads",
        GOOGLE_ADS_CUSTOMER_ID="123-456-7890",
        GOOGLE_ADS_SERVICE_ACCOUNT=_service_account(f"{sandbox}/google_ads/token"),
        POSTGRES_URL=database,
        POSTGRES_PASSWORD="product-sync",  # noqa: S106 - the embedded server trusts everybody
        ZENDESK_BASE_URL=f"{sandbox}/zendesk",
        ZENDESK_CLIENT_ID="sandbox",
        ZENDESK_CLIENT_SECRET="zendesk-secret",  # noqa: S106 - the sandbox's own
        ZENDESK_REQUESTS_PER_SECOND="50",  # the plan Team has 3.3: see `_hurry`
        STRIPE_BASE_URL=f"{sandbox}/stripe",
        STRIPE_SECRET_KEY="rk_test_sandbox",  # noqa: S106 - the sandbox takes any
        STRIPE_MODE="test",
        STRIPE_REQUESTS_PER_SECOND="240",  # Stripe takes 25: see `_hurry`
        WEBHOOK_BASE_URL=f"{sandbox}/rest",
        WEBHOOK_TOKEN="hook-sandbox",  # noqa: S106 - the sandbox takes any
        WEBHOOK_ALLOW_PRIVATE="1",  # the sandbox is on this machine
    )


def _service_account(token_uri: str) -> str:
    """The key file of a Google service account; the sandbox takes any."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    return json.dumps({"client_email": "sync@demo.iam.example", "private_key": pem, "token_uri": token_uri})


def _hurry(sandbox: str) -> None:
    """Slack takes a message a second, and the demo would take minutes: here its limits are a hundred times as wide.

    Zendesk takes 200 requests a minute in its smallest plan; here the minute has three seconds and a half. Stripe takes
    25 a second; here ten times as many.
    """
    settings = {"slack_post_seconds": 0.01, "slack_minute_seconds": 0.6, "zendesk_window_seconds": 3.5}
    settings |= {"stripe_test_requests": 250, "stripe_endpoint_requests": 250, "stripe_searches": 200}
    with httpx.Client(transport=httpx.HTTPTransport(retries=5), trust_env=False) as client:  # it may just be starting
        client.post(f"{sandbox}/_sandbox/settings", json=settings).raise_for_status()
