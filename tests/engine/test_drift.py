"""Records that people and other tools changed since they were written: found, told from allowed edits, and mended."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import NOTHING_KNOWN, Account
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import ConfigurationError, RetryLater, StateError, SyncBusy
from reverse_etl_assets.journal.records import Stopped
from reverse_etl_assets.readback.verification import Drifted, verify
from reverse_etl_assets.records import Current
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.lock import exclusive
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy

ANN, BOB, CY = (f"p{i}@shop.example" for i in range(3))


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def vendor(request: pytest.FixtureRequest, sandbox: Sandbox) -> Crm:
    return a_crm(request.param, sandbox)


def synced(shop: Shop, at: Crm, sync: Sync, rows: int = 3) -> None:
    shop.build(PEOPLE.format(rows))
    assert shop.run(sync, at.account).counts["created"] == rows


def look(shop: Shop, at: Crm, sync: Sync, account: Account | None = None, **options: Any) -> Drifted:
    return verify(sync, shop.environment, account or at.account, **{"sample": "all", **options})


def named(found: Drifted) -> set[tuple[str, str, str | None, Any, Any]]:
    return {(each.key, each.kind.value, each.field, each.wanted, each.held) for each in found.examples}


def numbers(found: Drifted) -> tuple[int, int, int, int]:
    return found.looked_at, found.differing, found.missing, found.allowed


def test_edits_and_deletes_are_named_and_nothing_is_changed(shop: Shop, vendor: Crm) -> None:
    sync = vendor.sync()
    synced(shop, vendor, sync, 4)
    assert numbers(look(shop, vendor, sync)) == (4, 0, 0, 0)
    vendor.edit(ANN, **{vendor.phone: "+41 44 1"})
    vendor.remove(BOB)
    found = look(shop, vendor, sync)
    assert numbers(found) == (4, 1, 1, 0)
    assert named(found) == {
        (ANN, "differs", vendor.phone, "+1 555 1000", "+41 44 1"),
        (BOB, "missing", None, None, None),
    }
    assert str(found) == "4 rows looked at: 1 differing, 1 missing"
    assert shop.run(sync, vendor.account).change_set == 0


def test_a_repair_sends_exactly_what_differs(shop: Shop, vendor: Crm) -> None:
    """The next run writes the edited field and the deleted record, and leaves all others alone."""
    sync = vendor.sync(before_images="synced", change_detection={"last_modified_at": "changed_at", "lookback": "0 s"})
    shop.build(PEOPLE.format(4))
    shop.run(sync, vendor.account)  # the rows are as old as the others, so no timestamp points to them
    vendor.edit(ANN, **{vendor.phone: "+41 44 1"})
    vendor.remove(BOB)
    found = look(shop, vendor, sync, repair=True)
    assert (found.resent, found.made_again) == (1, 1)
    assert str(found) == "4 rows looked at: 1 differing, 1 missing; the next run mends 1 and makes 1 anew"
    assert numbers(look(shop, vendor, sync)) == (2, 0, 0, 0), "what waits to be sent is not looked at again"

    report = shop.run(sync, vendor.account)
    outcomes = {each.key: (each.status, each.changed_fields) for each in shop.outcomes(sync, report.run_id)}
    assert outcomes == {ANN: ("updated", [vendor.phone]), BOB: ("created", None)}
    assert (report.counts["changed"], report.counts["added"]) == (1, 1)
    assert vendor.values(vendor.phone) == {f"p{i}@shop.example": f"+1 555 {1000 + i}" for i in range(4)}
    assert numbers(look(shop, vendor, sync)) == (4, 0, 0, 0)
    assert shop.run(sync, vendor.account).change_set == 0


def test_a_repaired_field_goes_out_alone(shop: Shop, force: Crm) -> None:
    sync = force.sync(before_images="synced")
    synced(shop, force, sync)
    force.edit(ANN, **{force.phone: "+41 44 1"})
    look(shop, force, sync, repair=True)
    force.edit(ANN, **{force.company: "Edited after the look"})
    shop.run(sync, force.account)
    assert (force.values(force.phone)[ANN], force.values(force.company)[ANN]) == (
        "+1 555 1000",
        "Edited after the look",
    )


@heavy
def test_edits_that_a_field_rule_allows_are_counted_and_stay(shop: Shop, force: Crm) -> None:
    sync = force.sync(mapping={force.phone: {"column": "phone", "wins": "unless_edited"}})
    synced(shop, force, sync)
    force.edit(ANN, **{force.phone: "+41 44 1"})
    force.edit(BOB, **{force.phone: "+41 44 2", force.company: "Edited"})
    found = look(shop, force, sync, repair=True)
    assert numbers(found) == (3, 1, 0, 2)
    assert named(found) == {(BOB, "differs", force.company, "C1", "Edited")}
    shop.run(sync, force.account)
    assert list(force.values(force.phone).values()) == ["+41 44 1", "+41 44 2", "+1 555 1002"]
    assert list(force.values(force.company).values()) == ["C0", "C1", "C2"]


@heavy
def test_a_record_that_is_written_once_may_be_edited(shop: Shop, hub: Crm) -> None:
    sync = hub.sync(sync_mode="insert_only")
    synced(shop, hub, sync)
    hub.edit(ANN, phone="+41 44 1")
    hub.remove(BOB)
    found = look(shop, hub, sync, repair=True)
    assert (numbers(found), found.resent, found.made_again) == ((3, 0, 1, 1), 0, 1)
    assert shop.run(sync, hub.account).counts["created"] == 1


@heavy
def test_a_row_is_compared_with_what_was_sent_last_and_not_with_the_model(shop: Shop, hub: Crm) -> None:
    sync = hub.sync()
    synced(shop, hub, sync)
    shop.sql("update marts.people set phone = '+1 555 9'")
    assert numbers(look(shop, hub, sync)) == (3, 0, 0, 0)


@heavy
def test_hashes_and_kept_values_are_no_drift(shop: Shop, hub: Crm) -> None:
    mapping = {
        hub.name: {"column": "email", "transform": "sha256_email"},
        hub.phone: {"column": "phone", "null": "keep"},
    }
    sync = hub.sync(mapping=mapping)
    shop.build(PEOPLE.format(3))
    shop.sql(f"update marts.people set phone = null where email = '{ANN}'")
    shop.run(sync, hub.account)
    hub.edit(ANN, **{hub.phone: "+41 44 1"})
    assert numbers(look(shop, hub, sync)) == (3, 0, 0, 0)
    hub.edit(ANN, **{hub.name: "Ann"})
    assert numbers(look(shop, hub, sync)) == (3, 1, 0, 0)


@heavy
def test_rows_that_the_last_run_did_not_settle_are_not_looked_at(shop: Shop, hub: Crm) -> None:
    sync = hub.sync(before_images="synced", max_failed={}, guards={"max_removed": {}, "in_flight": {"max_failed": 100}})
    synced(shop, hub, sync)
    shop.sql(f"update marts.people set phone = '+1 555 9' where email = '{ANN}'")
    hub.sandbox.fault("omit_rows", vendor="hubspot", percent=100)
    assert shop.run(sync, hub.account).counts["failed_unanswered"] == 1
    assert hub.values("phone")[ANN] == "+1 555 9"
    assert numbers(look(shop, hub, sync)) == (2, 0, 0, 0)


@heavy
def test_what_an_undo_put_back_is_no_drift(shop: Shop, force: Crm) -> None:
    sync = force.sync()
    synced(shop, force, sync)
    shop.sql(f"update marts.people set phone = '+1 555 9' where email = '{ANN}'")
    shop.sql(f"delete from marts.people where email = '{BOB}'")
    run = shop.run(sync, force.account)
    undo_run(run.run_id, sync, shop.environment, force.account, who="ada", why="wrong numbers")
    shop.journal.resume(f"sync:{sync.sync}", "ada", "looking")
    assert force.values(force.phone)[ANN] == "+1 555 1000"
    assert numbers(look(shop, force, sync)) == (3, 0, 0, 0)
    force.edit(BOB, **{force.phone: "+41 44 1"})
    assert numbers(look(shop, force, sync)) == (3, 1, 0, 0)


@heavy
def test_a_field_that_is_no_longer_ours_is_not_compared(shop: Shop, hub: Crm) -> None:
    sync = hub.sync()
    synced(shop, hub, sync)
    hub.edit(ANN, phone="+41 44 1")
    without = sync.model_copy(update={"mapping": {n: s for n, s in sync.mapping.items() if n != "phone"}})
    assert numbers(look(shop, hub, without)) == (3, 0, 0, 0)


@heavy
def test_a_sample_is_as_large_as_asked_for(shop: Shop, hub: Crm) -> None:
    sync = hub.sync(verify={"sample": 0, "drift": {"cron": "0 4 * * *", "sample": 7}})
    synced(shop, hub, sync, 30)
    assert look(shop, hub, sync, sample=None).looked_at == 7
    assert look(shop, hub, sync, sample=12).looked_at == 12


@heavy
def test_two_records_of_one_key_are_reported_and_not_repaired(shop: Shop, force: Crm) -> None:
    sync = force.sync()
    synced(shop, force, sync)
    force.sandbox.duplicate("salesforce", force.object, force.records[ANN].id)
    found = look(shop, force, sync, repair=True)
    assert (found.duplicates, found.wrong, found.resent, found.made_again) == (1, 0, 0, 0)
    assert shop.run(sync, force.account).change_set == 0


# Beside runs


def test_a_sync_that_runs_is_not_disturbed(shop: Shop, hub: Crm) -> None:
    sync = hub.sync()
    synced(shop, hub, sync)
    calls = hub.requests()
    with exclusive(sync, shop.warehouse), pytest.raises(SyncBusy, match="is being run by another process"):
        look(shop, hub, sync)
    assert hub.requests() == calls


class Meanwhile(HubSpot):
    """Something happens while records are read."""

    what: ClassVar[Any]

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        await asyncio.to_thread(self.what)
        return await super().read_records(external_ids, known)


@heavy
def test_what_a_run_writes_meanwhile_is_no_drift(shop: Shop, hub: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = hub.sync()
    synced(shop, hub, sync)
    hub.edit(BOB, phone="+41 44 1")
    shop.sql(f"update marts.people set phone = '+1 555 9' where email = '{ANN}'")
    monkeypatch.setattr(Meanwhile, "what", staticmethod(lambda: shop.run(sync, hub.account)), raising=False)
    found = look(shop, hub, sync, Account("crm", Meanwhile, hub.account.connection))
    assert hub.values("phone")[ANN] == "+1 555 9"
    assert (numbers(found), found.passed_over) == ((2, 1, 0, 0), 1)
    assert {each.key for each in found.examples} == {BOB}


@heavy
def test_a_run_that_was_killed_has_to_be_brought_home_first(shop: Shop, hub: Crm) -> None:
    sync = hub.sync()
    synced(shop, hub, sync)
    shop.journal.start_run("killed", sync.sync, "crm", model_rows=3, counts={})
    with pytest.raises(StateError, match="run killed of sync people_to_hubspot has not ended in good order"):
        look(shop, hub, sync)
    shop.run(sync, hub.account)
    assert look(shop, hub, sync).looked_at == 3


@heavy
def test_what_is_stopped_is_not_asked(shop: Shop, hub: Crm) -> None:
    sync = hub.sync()
    synced(shop, hub, sync)
    shop.journal.stop("destination:crm", "ada", "they migrate")
    calls = hub.requests()
    with pytest.raises(Stopped, match="they migrate"):
        look(shop, hub, sync)
    assert hub.requests() == calls


@heavy
def test_what_was_found_before_the_destination_gave_up_is_told(shop: Shop, hub: Crm) -> None:
    sync = hub.sync(before_images="synced")
    synced(shop, hub, sync, 1_500)
    for record in hub.records.values():
        hub.sandbox.edit("hubspot", "contacts", record.id, {"phone": "+41 44 1"})
    hub.sandbox.fault("server_error", vendor="hubspot", path="batch/read", skip=10)
    found = look(shop, hub, sync)
    assert (found.looked_at, found.differing, len(found.examples)) == (1_000, 1_000, 20)
    assert "1,000 rows looked at: 1,000 differing; the others could not be looked at: " in str(found)
    hub.sandbox.faults.clear()
    hub.sandbox.fault("server_error", vendor="hubspot", path="batch/read")
    with pytest.raises(RetryLater, match="INTERNAL_ERROR"):
        look(shop, hub, sync)


# What cannot be


@heavy
def test_what_cannot_be_looked_at_is_said(shop: Shop, hub: Crm) -> None:
    with pytest.raises(StateError, match="has not run yet"):
        look(shop, hub, hub.sync())
    with pytest.raises(ConfigurationError, match="`sink`, which cannot be read back"):
        look(shop, hub, sink_sync(), sink(hub.sandbox.url))
    with pytest.raises(ConfigurationError, match="nothing is sent again"):
        look(shop, hub, hub.sync(sync_mode="append"), repair=True)
    synced(shop, hub, hub.sync())
    elsewhere = hub.sync().model_copy(update={"object": "companies"})
    with pytest.raises(StateError, match="last ran with `object: contacts`, and has `companies` now"):
        look(shop, hub, elsewhere)


@heavy
def test_what_a_look_costs_is_counted(shop: Shop, hub: Crm) -> None:
    sync = hub.sync()
    synced(shop, hub, sync)
    (before,) = shop.journal.usage()
    look(shop, hub, sync)
    (after,) = shop.journal.usage()
    assert (after.calls, after.rows) == (before.calls + 1, before.rows)
    assert after.bytes > before.bytes
