"""A person who is known, and is to be forgotten."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.runs.forget import Forgetting, Forgotten, Subject
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop

WHO: dict[str, Any] = {"who": "ann", "why": "asked for it"}
OTHERS = PEOPLE.format(3)
ADA = "p0@shop.example"


class Zoe:
    """A person whose values are nowhere else, and do not compress."""

    def __init__(self) -> None:
        self.values = [secrets.token_hex(12) for _ in range(4)]
        local, self.name, self.phone, self.company = self.values
        self.email = f"{local}@shop.example"

    def with_others(self, *, phone: str | None = None) -> str:
        row = f"'{self.email}' as email, '{self.name}' as name, '{phone or self.phone}' as phone"
        return f"{OTHERS} union all select 'z', {row}, '{self.company}' as company, timestamp '2026-01-01'"

    def files(self, folder: Path) -> set[str]:
        """Files with one of her values in their raw bytes; the warehouse is dbt's."""
        files = (file for file in folder.rglob("*") if file.is_file() and file.name != "warehouse.duckdb")
        return {file.name for file in files if any(value.encode() in file.read_bytes() for value in self.values)}

    def tables(self, shop: Shop, sync: Sync) -> set[str]:
        """Tables of the state with one of her values in a row."""
        tables = [name for (name,) in shop.state(sync, "select table_name from duckdb_tables()")]
        texts = {name: f"select to_json(row)::varchar from state.{name} as row" for name in tables}
        found = {name: "".join(text for (text,) in shop.state(sync, query)) for name, query in texts.items()}
        return {name for name, text in found.items() if any(value in text for value in self.values)}


@pytest.fixture(scope="session")
def zoe() -> Zoe:
    return Zoe()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox, zoe: Zoe) -> Path:
    """Zoe and others were sent to HubSpot, and she has left the model since. Made once, for a run takes long."""
    running_sandbox.reset()
    shop = Shop(tmp_path_factory.mktemp("shop"))
    synced(shop, a_crm("hubspot", running_sandbox), zoe)
    shop.build(OTHERS)
    shop.close()
    return shop.home


@pytest.fixture
def told(home: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop that knows her. HubSpot itself is empty."""
    shop = Shop(shutil.copytree(home, tmp_path / "told"))
    shop.know()
    yield shop
    shop.close()


def forgetting(shop: Shop, crm: Crm, key: str, sync: Sync | None = None) -> Forgetting:
    sync = sync or crm.sync()
    return Forgetting(key, [Subject(sync.sync, sync, crm.account)], shop.environment)


def forget(shop: Shop, crm: Crm, zoe: Zoe, sync: Sync | None = None, **options: Any) -> Forgotten:
    """By a key in another case."""
    (forgotten,) = forgetting(shop, crm, zoe.email.upper(), sync).go(**WHO, **options)
    return forgotten


def synced(shop: Shop, crm: Crm, zoe: Zoe, **changes: Any) -> Sync:
    sync = crm.sync(**changes)
    shop.build(zoe.with_others())
    assert shop.run(sync, crm.account).counts["created"] == 4
    return sync
