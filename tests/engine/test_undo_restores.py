"""An undo of a deletion: the record itself comes back from the Recycle Bin, with its id; only where it cannot, one is
made anew."""

from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.undo import preview_undo
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import is_whole, undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop
from tests.heavy import first, heavy

GONE = [f"p{at}@shop.example" for at in range(5)]


@pytest.fixture
def crm(sandbox: Sandbox) -> Crm:
    return a_crm("salesforce", sandbox)


def undo(shop: Shop, sync: Sync, account: Account, run: Report) -> Report:
    return undo_run(run.run_id, sync, shop.environment, account, who="ada", why="they are customers still")


def deleted(shop: Shop, crm: Crm, **changes: Any) -> tuple[Sync, dict[str, str], Report]:
    """A run that deleted five records of twelve; one of them has a value that the sync does not map."""
    sync = crm.sync(**changes)
    shop.build(PEOPLE.format(12))
    assert shop.run(sync, crm.account).counts["created"] == 12
    crm.edit(GONE[0], Description="a note of a person")
    ids = {key: entry.id for key, entry in crm.records.items()}
    shop.build(f"from ({PEOPLE.format(12)}) where email not in ({', '.join(f'{key!r}' for key in GONE)})")
    run = shop.run(sync, crm.account)
    assert run.counts["deleted"] == 5
    return sync, ids, run


def undeletes(sandbox: Sandbox) -> int:
    return sum(line.operation == "undelete" for line in sandbox.log.lines("salesforce"))


@pytest.mark.parametrize("options", first([{}, {"bulk_threshold": 1}]))
def test_deleted_records_come_back_with_their_ids(shop: Shop, crm: Crm, options: dict[str, Any]) -> None:
    sync, ids, run = deleted(shop, crm, options=options)
    report = undo(shop, sync, crm.account, run)
    assert (report.status, report.counts["created"], is_whole(report)) == (RunStatus.DONE, 5, True)
    assert {key: entry.id for key, entry in crm.records.items()} == ids
    assert crm.records[GONE[0]].values["Description"] == "a note of a person"
    assert undeletes(crm.sandbox) == 1
    synced = dict(shop.state(sync, "select _retl_key, _retl_id from state.synced"))
    assert synced == ids
    told = [each for each in shop.outcomes(sync, report.run_id) if each.status == Status.CREATED]
    assert all("was brought back, with its id" in str(each.message) for each in told)
    shop.journal.resume(f"sync:{sync.sync}", "ada", "right again")
    shop.build(PEOPLE.format(12))
    assert shop.run(sync, crm.account).counts["unchanged"] == 12


@heavy
def test_what_is_not_kept_any_more_is_made_anew(shop: Shop, crm: Crm) -> None:
    sync, ids, run = deleted(shop, crm)
    table = crm.sandbox.salesforce.tables[crm.object]
    for key in GONE[:2]:
        table.purge(table.entries[ids[key]])
    report = undo(shop, sync, crm.account, run)
    assert (report.counts["created"], is_whole(report)) == (5, True)
    held = {key: entry.id for key, entry in crm.records.items()}
    assert held.keys() == ids.keys()
    assert {key for key in held if held[key] != ids[key]} == set(GONE[:2])


@heavy
def test_a_record_that_somebody_made_since_stays_as_it_is(shop: Shop, crm: Crm) -> None:
    sync, ids, run = deleted(shop, crm)
    crm.add(**{crm.key: GONE[1], crm.name: "Another", crm.company: "C"})
    report = undo(shop, sync, crm.account, run)
    assert (report.counts["created"], report.counts["skipped_edited"]) == (4, 1)
    assert crm.records[GONE[1]].values[crm.name] == "Another"
    assert crm.records[GONE[1]].id != ids[GONE[1]]


@heavy
def test_a_session_that_has_ended_is_renewed_also_for_the_recycle_bin(shop: Shop, crm: Crm) -> None:
    sync, ids, run = deleted(shop, crm)
    crm.sandbox.fault("expire_token", vendor="salesforce", path="Soap", next=1)
    assert undo(shop, sync, crm.account, run).counts["created"] == 5
    assert {key: entry.id for key, entry in crm.records.items()} == ids


@heavy
@pytest.mark.parametrize("fault", first(["drop_after", "malformed", "empty"]))
def test_a_lost_answer_makes_no_second_record(shop: Shop, crm: Crm, fault: str) -> None:
    """The records are back, and the answer that says so is not: asked again, Salesforce says that they are not gone."""
    sync, ids, run = deleted(shop, crm)
    crm.sandbox.fault(fault, vendor="salesforce", path="Soap", next=1)
    report = undo(shop, sync, crm.account, run)
    assert is_whole(report)
    assert {key: entry.id for key, entry in crm.records.items()} == ids


@heavy
def test_a_bin_that_does_not_answer_makes_nothing_anew(shop: Shop, crm: Crm) -> None:
    sync, ids, run = deleted(shop, crm)
    crm.sandbox.fault("server_error", vendor="salesforce", path="Soap", status=503)
    report = undo(shop, sync, crm.account, run)
    assert not is_whole(report)
    failed = [each for each in shop.outcomes(sync, report.run_id) if each.status == Status.FAILED]
    assert {each.reason for each in failed} <= {Reason.UNAVAILABLE, Reason.AMBIGUOUS}
    assert len(crm.records) == 7
    crm.sandbox.faults.clear()
    assert is_whole(undo(shop, sync, crm.account, run))
    assert {key: entry.id for key, entry in crm.records.items()} == ids


@heavy
def test_a_look_before_it_brings_nothing_back(shop: Shop, crm: Crm) -> None:
    sync, _, run = deleted(shop, crm)
    seen = preview_undo(run.run_id, sync, shop.environment, crm.account)
    assert [row.kind for row in seen.rows] == ["added"] * 5
    assert len(crm.records) == 7
    assert undeletes(crm.sandbox) == 0
