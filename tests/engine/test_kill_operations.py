"""kill -9 in the middle of what people order: a version that adopts, a plan that was approved, a person to forget."""

import random

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.runs.forget import Forgetting, Subject
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import RemoteSandbox
from tests.engine.launcher import Launcher
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink, sink_sync
from tests.engine.test_kill import remote
from tests.heavy import heavy, seeds
from tests.until import until

pytestmark = heavy

__all__ = ["remote"]

SEEDS = seeds("KILLS", 1)
FREE = {"max_removed": {}, "row_count": {"percent": None, "deviations": None}}
PEOPLE = "select 'p' || i || '@shop.example' as email, 'n' || i as name from range({}) r(i)"


def total(remote: RemoteSandbox, vendor: str) -> int:
    return int(remote.counts()[vendor]["calls"]["total"])


def contacts(**changes: object) -> Sync:
    return crm_sync(**{"sync_mode": "mirror", "verify": {"sample": 0}, "guards": FREE, **changes})


def names(remote: RemoteSandbox) -> dict[str, str]:
    found = remote.records("hubspot", "contacts")
    by_key = {each["values"]["email"]: each["values"]["firstname"] for each in found}
    assert len(by_key) == len(found), "nobody is there twice"
    return by_key


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_it_adopts(shop: Shop, launcher: Launcher, remote: RemoteSandbox, seed: int) -> None:
    account = crm(remote.url)
    shop.build(PEOPLE.format(500))
    shop.run(contacts(), account)
    shop.sql("update marts.people set name = 'x' || name where name < 'n3'")
    adopting = contacts(version=2, cutover="adopt")
    before = total(remote, "hubspot")
    launcher.start(shop, adopting, "crm", remote.url)
    wanted = random.Random(seed).randrange(1, 12)
    until(lambda: total(remote, "hubspot") >= before + wanted)
    launcher.kill()
    report = shop.run(adopting, account)
    assert report.status is RunStatus.DONE
    assert report.counts["failed"] == 0
    assert names(remote) == {f"p{i}@shop.example": f"x{name}" if (name := f"n{i}") < "n3" else name for i in range(500)}
    assert shop.state(adopting, "select version, cutover from state.versions order by all") == [(1, None), (2, "adopt")]
    assert shop.run(adopting, account).change_set == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_an_approved_plan_goes_out(
    shop: Shop, launcher: Launcher, remote: RemoteSandbox, seed: int
) -> None:
    """What was approved is used up with the first request; what is left waits for another word."""
    account, sync = sink(remote.url), sink_sync(options={**SINK, "batch_size": 10}, sync_mode="mirror")
    sync = sync.model_copy(update={"guards": contacts(guards={**FREE, "max_removed": {"rows": 0}}).guards})
    shop.build("select 'k' || i as id, 'n' || i as name from range(200) r(i)")
    shop.run(sync, account)
    shop.sql("delete from marts.people where name > 'n3'", "update marts.people set name = name || '!'")
    plan_id = shop.run(sync, account).plan_id
    assert plan_id
    shop.journal.approve(plan_id, "Kim", "they are gone for good")
    before = total(remote, "rest")
    launcher.start(shop, sync, "sink", remote.url, plan_id=plan_id)
    wanted = random.Random(seed).randrange(1, 20)
    until(lambda: total(remote, "rest") >= before + wanted)
    launcher.kill()

    deleted = remote.counts()["rest"]["rows"].get("delete", 0)
    rest = shop.run(sync, account)
    if rest.status is RunStatus.GUARDED:
        assert remote.counts()["rest"]["rows"].get("delete", 0) == deleted, "nobody approved the rest"
        assert rest.plan_id
        shop.journal.approve(rest.plan_id, "Kim", "the rest too")
        rest = shop.run(sync, account)
    assert (rest.status, rest.counts["failed"]) == (RunStatus.DONE, 0)
    there = {record["id"]: record["values"]["name"] for record in remote.records("rest", "people")}
    assert there == {f"k{i}": f"n{i}!" for i in range(200) if f"n{i}" <= "n3"}
    assert shop.run(sync, account).change_set == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_a_person_is_forgotten(shop: Shop, launcher: Launcher, remote: RemoteSandbox, seed: int) -> None:
    account, sync, who = crm(remote.url), contacts(), "p7@shop.example"
    shop.build(PEOPLE.format(20))
    shop.run(sync, account)
    shop.sql(f"delete from marts.people where email = '{who}'")
    before = total(remote, "hubspot")
    launcher.start(shop, sync, "crm", remote.url, forgets=who)
    if seed % 2 == 0:
        until(lambda: total(remote, "hubspot") > before)
    else:
        until(lambda: who not in names(remote))
    for _ in range(random.Random(seed).randrange(3_000)):
        shop.warehouse.state_file(sync.sync).exists()
    launcher.kill()

    order = Forgetting(who, [Subject(sync.sync, sync, account)], shop.environment)
    assert all(each.purged for each in order.go(who="ada", why="asked for it", at_destinations=True))
    (known,) = order.look()
    assert not known.rows
    assert set(names(remote)) == {f"p{i}@shop.example" for i in range(20)} - {who}
    report = shop.run(sync, account)
    assert (report.status, report.change_set) == (RunStatus.DONE, 0)
    assert who not in names(remote)
