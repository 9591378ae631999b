"""What Zendesk's page shows is right: the sync fits an account, and the entry of the deployment is one."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import yaml

from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.records import FieldType, Target
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

PAGE = (Path(__file__).parents[2] / "docs/destinations/zendesk.md").read_text()


def block(language: str) -> str:
    return PAGE.split(f"```{language}\n")[1].split("```")[0]


def test_the_example_is_a_sync_that_fits(sandbox: Sandbox) -> None:
    sync = Sync.model_validate({"sync": "zendesk_users", **yaml.safe_load(block("yaml"))})
    kinds = dict.fromkeys(sync.mapping, FieldType.TEXT) | {"user_fields.lifetime_value": FieldType.DECIMAL}
    target = Target(sync.object, "external_id", kinds, sync.mode.operations)

    async def check() -> None:
        async with httpx.AsyncClient() as client:
            await Zendesk(accounts.zendesk(sandbox.url), target, Zendesk.Options(), client).check()

    asyncio.run(check())


def test_the_entry_of_the_deployment(monkeypatch: Any) -> None:
    for name in ("ZENDESK_BASE_URL", "ZENDESK_CLIENT_ID", "ZENDESK_CLIENT_SECRET"):
        monkeypatch.setenv(name, "https://acme.zendesk.com")
    names: dict[str, Any] = {}
    exec(block("python"), names)
    account = names["destinations"]["zendesk"].account("zendesk")
    assert account.type is Zendesk
    assert account.connection.requests_per_second == 6.5
