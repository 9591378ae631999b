"""A record whose id is known is looked for by that id, too; what is deleted is what carries the key now."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from reverse_etl_assets.accounts.transport import Transport
from reverse_etl_assets.destinations.base import (
    NOTHING_KNOWN,
    Account,
    BaseDestination,
    ConnectionSettings,
    SyncOptions,
)
from reverse_etl_assets.records import Batch, Capabilities, Current, Operation, Outcome, Reason, Status, Target
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, crm, crm_sync, sink_sync
from tests.engine.test_shared_records import LIMITLESS
from tests.heavy import first, heavy

PEOPLE = "select i::varchar as id, 'name ' || i || '{}' as name from range(3) r(i)"
ALL = frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE})


@dataclass
class Vendor:
    """What a CRM holds, and which of it its search has seen."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    searched: set[str] = field(default_factory=set)

    def search(self, key: str) -> list[str]:
        return [each for each in self.searched & self.records.keys() if self.records[each]["id"] == key]


VENDOR = Vendor()


class LaggingCrm(BaseDestination[ConnectionSettings, SyncOptions]):
    """Finds by a search that lags behind; makes records, and changes them by their ids alone."""

    Connection = ConnectionSettings

    @classmethod
    def capabilities_for(cls, target: Target, options: SyncOptions) -> Capabilities:
        return Capabilities(
            operations=ALL,
            max_rows=1,
            max_bytes=1_000_000,
            concurrency=1,
            idempotent=frozenset({Operation.UPDATE, Operation.DELETE}),
            needs_id=ALL,
            find_limit=100,
            read_limit=100,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, connection: ConnectionSettings, target: Target, options: SyncOptions, transport: Transport
    ) -> AsyncIterator[Self]:
        yield cls(connection, target, options)

    @classmethod
    def unopened(cls, connection: ConnectionSettings, target: Target, options: SyncOptions) -> Self:
        return cls(connection, target, options)

    async def check(self) -> None:
        return

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        [record] = batch.records
        known = record.destination_id
        if known is None:
            made = f"r{len(VENDOR.records)}"
            VENDOR.records[made] = {"id": record.external_id, **record.fields}
            return [Outcome(record.key, Status.CREATED, destination_id=made)]
        if known not in VENDOR.records:
            return [Outcome.skipped(record.key, Reason.NOT_FOUND, "it is gone")]
        if batch.operation is Operation.DELETE:
            del VENDOR.records[known]
            return [Outcome(record.key, Status.DELETED, destination_id=known)]
        VENDOR.records[known].update(record.fields)
        return [Outcome(record.key, Status.UPDATED, destination_id=known)]

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {each: VENDOR.search(each) for each in external_ids}

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        found = {each: VENDOR.search(each) or [k for k in [known.get(each)] if k] for each in external_ids}
        return {key: [Current(i, VENDOR.records[i]) for i in ids if i in VENDOR.records] for key, ids in found.items()}

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return bool(sent == held)


class ForgetfulCrm(LaggingCrm):
    """Its author does not read by ids."""

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        return await super().read_records(external_ids)


class BlindCrm(LaggingCrm):
    """Its records can be found, and not read."""

    @classmethod
    def reads_back(cls, target: Target, options: SyncOptions) -> bool:
        return False


@pytest.fixture
def vendor() -> Vendor:
    VENDOR.records.clear()
    VENDOR.searched.clear()
    return VENDOR


def three(shop: Shop, kind: type[LaggingCrm], before_images: str = "synced") -> tuple[Sync, Account]:
    """A sync that has made three records."""
    sync = sink_sync(sync_mode="mirror", options={}, before_images=before_images, guards=LIMITLESS)
    account = Account("sink", kind, ConnectionSettings(base_url="https://crm.example"))
    shop.build(PEOPLE.format(""))
    assert shop.run(sync, account).counts["created"] == 3
    return sync, account


@pytest.mark.parametrize("before_images", first(["synced", "destination"]))
@pytest.mark.parametrize("kind", first([LaggingCrm, ForgetfulCrm]))
def test_a_search_that_lags_makes_no_second_record(
    shop: Shop, vendor: Vendor, kind: type[LaggingCrm], before_images: str
) -> None:
    sync, account = three(shop, kind, before_images)
    shop.build(PEOPLE.format("!"))
    assert shop.run(sync, account).counts["updated"] == 3
    assert sorted(each["name"] for each in vendor.records.values()) == ["name 0!", "name 1!", "name 2!"]
    vendor.searched.update(vendor.records)
    shop.build(f"select * from ({PEOPLE.format('!')}) where id = '1'")
    assert shop.run(sync, account).counts["deleted"] == 2
    assert [each["name"] for each in vendor.records.values()] == ["name 1!"]


@heavy
@pytest.mark.parametrize("kind", [LaggingCrm, BlindCrm])
def test_a_record_that_is_not_found_yet_is_deleted_by_its_id(
    shop: Shop, vendor: Vendor, kind: type[LaggingCrm]
) -> None:
    sync, account = three(shop, kind)
    shop.build(f"select * from ({PEOPLE.format('')}) where id = '1'")
    assert shop.run(sync, account).counts["deleted"] == 2
    assert [each["name"] for each in vendor.records.values()] == ["name 1"]


@heavy
def test_a_record_that_is_not_found_yet_is_read_by_its_id(shop: Shop, vendor: Vendor) -> None:
    """An undo puts back what a person had typed there before the run."""
    sync, account = three(shop, LaggingCrm, "destination")
    vendor.records["r1"]["name"] = "typed"
    shop.build(PEOPLE.format("!"))
    report = shop.run(sync, account)
    assert undo_run(report.run_id, sync, shop.environment, account, who="ada", why="a test").counts["updated"] == 3
    assert sorted(each["name"] for each in vendor.records.values()) == ["name 0", "name 2", "typed"]


@heavy
@pytest.mark.parametrize("kind", [LaggingCrm, BlindCrm])
def test_what_carries_the_key_now_is_deleted_whatever_can_be_read(
    shop: Shop, vendor: Vendor, kind: type[LaggingCrm]
) -> None:
    """A person has made the record anew; the one that the row's id is of still stands, under another key."""
    sync, account = three(shop, kind)
    vendor.records["r0"]["id"] = "of somebody else"
    vendor.records["anew"] = {"id": "0", "name": "name 0"}
    vendor.searched.update(vendor.records)
    shop.build(f"select * from ({PEOPLE.format('')}) where id <> '0'")
    assert shop.run(sync, account).counts["deleted"] == 1
    assert set(vendor.records) == {"r0", "r1", "r2"}


def ann_and_bob(shop: Shop, sandbox: Sandbox, before_images: str) -> tuple[Sync, Account, str]:
    """A sync that has made two contacts, and the id of Ann's."""
    sync, account = crm_sync(sync_mode="mirror", guards=LIMITLESS, before_images=before_images), crm(sandbox.url)
    shop.build("select * from (values ('ann@x.org', 'Ann'), ('bob@x.org', 'Bob')) r(email, name)")
    shop.run(sync, account)
    made = sandbox.hubspot.tables["contacts"].live()
    return sync, account, next(each.id for each in made if each.values["email"] == "ann@x.org")


@pytest.mark.parametrize("before_images", first(["synced", "destination"]))
def test_a_record_that_was_made_anew_is_deleted(shop: Shop, sandbox: Sandbox, before_images: str) -> None:
    """A person has deleted it and made it again: its row has the id of the one that is gone."""
    sync, account, ann = ann_and_bob(shop, sandbox, before_images)
    sandbox.remove("hubspot", "contacts", ann)
    again = sandbox.add("hubspot", "contacts", {"email": "ann@x.org", "firstname": "Ann"})
    shop.build("select 'bob@x.org' as email, 'Bob' as name")
    report = shop.run(sync, account)
    assert shop.by_key(sync, report)["ann@x.org"].destination_id == again
    assert [each.values["email"] for each in sandbox.hubspot.tables["contacts"].live()] == ["bob@x.org"]


@heavy
@pytest.mark.parametrize("before_images", first(["synced", "destination"]))
def test_a_record_that_got_another_key_is_deleted_by_its_id(shop: Shop, sandbox: Sandbox, before_images: str) -> None:
    sync, account, ann = ann_and_bob(shop, sandbox, before_images)
    sandbox.edit("hubspot", "contacts", ann, {"email": "ann@y.org"})
    shop.build("select 'bob@x.org' as email, 'Bob' as name")
    assert shop.run(sync, account).counts["deleted"] == 1
    assert [each.values["email"] for each in sandbox.hubspot.tables["contacts"].live()] == ["bob@x.org"]
