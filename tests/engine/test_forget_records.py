"""The records of a person go at the destination first; what could not be deleted is kept, to try again."""

import pytest

from reverse_etl_assets.journal.records import RunKind, RunStatus
from reverse_etl_assets.runs.forget import Forgetting, Subject
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import Crm, a_crm
from tests.engine.forgetting import OTHERS, WHO, Zoe, forget, synced
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy


@pytest.fixture
def crm(sandbox: Sandbox) -> Crm:
    return a_crm("hubspot", sandbox)


@pytest.mark.parametrize("vendor", first(["salesforce", "hubspot"]))
def test_the_record_goes_first_whatever_the_guards_say(shop: Shop, sandbox: Sandbox, zoe: Zoe, vendor: str) -> None:
    crm = a_crm(vendor, sandbox)
    synced(shop, crm, zoe)
    shop.build(OTHERS)
    strict = crm.sync(approval="always", guards={"max_removed": {"rows": 0}}, verify={"sample": 10})
    forgotten = forget(shop, crm, zoe, strict, at_destinations=True)
    assert [outcome.status for outcome in forgotten.deletion.outcomes] == ["deleted"]
    assert sorted(crm.records) == [f"p{i}@shop.example" for i in range(3)]
    assert zoe.files(shop.home) == set()
    (run,) = shop.journal.history(strict.sync, kind=RunKind.FORGET)
    assert (run.status, run.counts["deleted"]) == (RunStatus.DONE, 1)
    assert run.counts["verified"] == 1, "it is really gone"
    assert list(shop.journal.batches(run.run_id)) == []
    assert shop.run(crm.sync(), crm.account).change_set == 0


@heavy
def test_a_record_that_is_gone_is_no_failure(told: Shop, crm: Crm, zoe: Zoe) -> None:
    with told.warehouse.open(crm.sync().sync, write=True) as con:
        con.execute("delete from state.synced")  # as after a run that she was refused by
    forgotten = forget(told, crm, zoe, at_destinations=True)
    assert [outcome.reason for outcome in forgotten.deletion.outcomes] == ["already_gone"]
    assert forgotten.purged


def test_the_kill_switch_holds(told: Shop, crm: Crm, zoe: Zoe) -> None:
    sync = crm.sync()
    told.journal.stop("all", "bob", "wrong prices")
    forgotten = forget(told, crm, zoe, at_destinations=True)
    assert not forgotten.purged
    assert forgotten.deletion.problem == "kill_switch: stopped (all) by bob: wrong prices"
    assert crm.requests() == 0
    assert "synced" in zoe.tables(told, sync)
    assert [entry.action for entry in told.journal.control_log()] == ["stop"]


@heavy
def test_what_could_not_be_deleted_is_kept_to_try_again(shop: Shop, crm: Crm, zoe: Zoe, sandbox: Sandbox) -> None:
    sync = synced(shop, crm, zoe, verify={"sample": 10})
    shop.build(OTHERS)
    sandbox.fault("lose_writes", vendor="hubspot", path="archive", percent=100, next=1)
    forgotten = forget(shop, crm, zoe, sync, at_destinations=True)
    assert forgotten.deletion.problem == "a record with this key is still there"
    assert "outcomes" in zoe.tables(shop, sync)
    assert forget(shop, crm, zoe, sync, at_destinations=True).purged
    assert zoe.email not in crm.records
    assert zoe.files(shop.home) == set()


@heavy
def test_all_spellings_of_a_key_are_deleted(shop: Shop, sandbox: Sandbox) -> None:
    """Where case tells records apart."""
    sync, account = sink_sync(sync_mode="mirror"), sink(sandbox.url)
    shop.build("select unnest(['Zoe', 'ZOE', 'Ada']) as id, 'n' as name")
    shop.run(sync, account)
    shop.build("select 'Ada' as id, 'n' as name")
    ours = Forgetting("zoe", [Subject(sync.sync, sync, account)], shop.environment)
    (forgotten,) = ours.go(**WHO, at_destinations=True)
    assert {outcome.key for outcome in forgotten.deletion.outcomes} == {"ZOE", "Zoe"}
    assert [entry.id for entry in sandbox.rest.tables["people"].live()] == ["Ada"]
