"""kill -9 at moments all over a run: nothing acknowledged is lost, nothing is re-sent but the batches in flight."""

import random
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.errors import StateMismatch
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Run, RunStatus
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import RemoteSandbox
from tests.engine.launcher import Launcher, salesforce, zendesk
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink, sink_sync
from tests.heavy import first, heavy, seeds
from tests.until import until

pytestmark = heavy

SEEDS = seeds("KILLS", 4)
TWENTY = {**SINK, "batch_size": 20}
CRM_BATCH, CRM_CONCURRENCY = 100, 6
SINK_BATCH, SINK_CONCURRENCY = 20, 4


@pytest.fixture
def remote(other_process: RemoteSandbox) -> RemoteSandbox:
    """It takes its time, so that there is something to interrupt."""
    other_process.reset()
    other_process.set(hubspot_ten_second_requests=1_000_000, latency_ms=10.0)
    return other_process


def kill_at_random(
    seed: int, launcher: Launcher, remote: RemoteSandbox, vendor: str, shop: Shop, sync: Sync, requests: int
) -> str:
    """SIGKILL at a moment that the seed chooses; returns which it was."""
    random_ = random.Random(seed)
    moment = random_.choice(["a look at the state", "requests", "requests", "requests", "the fold"])
    if moment == "a look at the state":
        until(shop.warehouse.state_file(sync.sync).exists)
    elif moment == "requests":
        wanted = random_.randrange(1, requests)
        until(lambda: remote.counts()[vendor]["calls"]["total"] >= wanted)
        moment = f"{wanted} of {requests} requests"
    else:
        until(lambda: remote.counts()[vendor]["calls"]["total"] >= requests)
        wal = Path(f"{shop.warehouse.state_file(sync.sync)}.wal")
        for _ in range(random_.randrange(2_000)):
            wal.exists()
    launcher.kill()
    return moment


@pytest.mark.parametrize("seed", SEEDS)
def test_contacts_upserted(shop: Shop, launcher: Launcher, remote: RemoteSandbox, seed: int) -> None:
    shop.build("select 'p' || i || '@shop.example' as email, 'n' || i as name from range(2000) r(i)")
    sync, account = crm_sync(), crm(remote.url)
    launcher.start(shop, sync, "crm", remote.url)
    moment = kill_at_random(seed, launcher, remote, "hubspot", shop, sync, 21)
    told = acknowledged(shop, sync)
    sent_before = remote.counts()["hubspot"]["rows"].get("upsert", 0)
    report = shop.run(sync, account)
    counts = remote.counts()["hubspot"]
    assert counts["objects"]["contacts"]["records"] == 2000, moment
    assert shop.state(sync, "select count(*) from state.synced") == [(2000,)]
    assert counts["rows"]["upsert"] - 2000 <= CRM_CONCURRENCY * CRM_BATCH, moment
    assert report.change_set == 2000 - told, moment
    assert told <= sent_before <= told + CRM_CONCURRENCY * CRM_BATCH
    for run_id in report.recovered:
        run = shop.journal.run(run_id)
        assert run is not None
        assert run.status is RunStatus.STOPPED
        assert run.counts["created"] == told
        assert sum(run.counts[name] for name in ("created", "updated", "skipped", "failed")) == 2000
        assert run.counts.get("failed_ambiguous", 0) == run.counts["failed"] <= CRM_CONCURRENCY * CRM_BATCH
    assert shop.run(sync, account).change_set == 0


def acknowledged(shop: Shop, sync: Sync) -> int:
    """Rows that a killed run was told of: in the journal, or folded already."""
    return sum(
        len(batch.answers) for run in shop.journal.history(sync.sync) for batch in shop.journal.batches(run.run_id)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_events_appended(shop: Shop, launcher: Launcher, remote: RemoteSandbox, seed: int) -> None:
    shop.build("select 'e' || i as id, 'n' || i as name from range(500) r(i)")
    sync, account = sink_sync(sync_mode="append", options=TWENTY), sink(remote.url)
    launcher.start(shop, sync, "sink", remote.url)
    moment = kill_at_random(seed, launcher, remote, "rest", shop, sync, 25)
    told = acknowledged(shop, sync)
    report = shop.run(sync, account)
    held = {key for (key,) in shop.state(sync, "select key from state.held")}
    arrived = {record["id"] for record in remote.records("rest", "people")}
    counts = remote.counts()["rest"]["objects"]["people"]
    everything = {f"e{i}" for i in range(500)}
    assert counts["updated"] == 0, moment  # nothing arrived twice
    assert arrived | held == everything  # what did not arrive is known by name
    assert len(held) <= SINK_CONCURRENCY * SINK_BATCH, moment
    assert report.counts.get("skipped_held", 0) == len(held)
    assert report.counts["created"] == 500 - told - len(held)
    for run_id in report.recovered:
        run = shop.journal.run(run_id)
        assert run is not None
        assert run.counts.get("failed_ambiguous", 0) == len(held)
        assert {o.key for o in shop.outcomes(sync, run_id) if o.reason == "ambiguous"} == held


@pytest.mark.parametrize("seed", first([0, 2, 4]))
def test_killed_while_folding(shop: Shop, launcher: Launcher, remote: RemoteSandbox, seed: int) -> None:
    """All rows are acknowledged: not one may be sent again."""
    shop.build("select 'e' || i as id, 'n' || i as name from range(5000) r(i)")
    sync, account = sink_sync(options={**SINK, "batch_size": 1000}), sink(remote.url)
    launcher.start(shop, sync, "sink", remote.url)
    for rows in launcher.sent():
        if rows == 5_000:
            break
    state = shop.warehouse.state_file(sync.sync)
    before = footprint(state)
    if seed:  # else at once
        until(lambda: footprint(state) != before)
        for _ in range((seed - 1) * 300):
            footprint(state)
    launcher.kill()
    report = shop.run(sync, account)
    assert report.change_set == 0
    assert shop.state(sync, "select count(*) from state.synced") == [(5_000,)]
    assert remote.counts()["rest"]["rows"] == {"upsert": 5_000}
    outcomes = "select count(*), count(distinct key) from state.outcomes where status = 'created'"
    assert shop.state(sync, outcomes) == [(5_000, 5_000)]


def footprint(state: Path) -> tuple[int, ...]:
    """Sizes of a state file and its write-ahead log: they change when something is written."""
    sizes = []
    for path in (state, Path(f"{state}.wal")):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            sizes.append(-1)
    return tuple(sizes)


@pytest.mark.parametrize("seed", first([0, 3]))
def test_killed_while_planning(shop: Shop, launcher: Launcher, remote: RemoteSandbox, seed: int) -> None:
    shop.build("select 'e' || i as id, repeat('n', 50) || i as name from range(10000) r(i)")
    sync = sink_sync(options={**SINK, "batch_size": 1000})
    launcher.start(shop, sync, "sink", remote.url)
    state = shop.warehouse.state_file(sync.sync)
    until(state.exists)
    seen = {footprint(state)}
    until(lambda: bool(seen.add(footprint(state))) or len(seen) > seed)
    launcher.kill()
    told = acknowledged(shop, sync)  # none, unless it had begun to send by then
    report = shop.run(sync, sink(remote.url))
    assert report.change_set == 10_000 - told
    assert shop.state(sync, "select count(*) from state.synced") == [(10_000,)]
    assert remote.counts()["rest"]["objects"]["people"]["records"] == 10_000
    assert 0 <= remote.counts()["rest"]["rows"]["upsert"] - 10_000 <= SINK_CONCURRENCY * 1_000


def test_a_killed_first_run_and_a_journal_that_is_gone(shop: Shop, launcher: Launcher, remote: RemoteSandbox) -> None:
    shop.build("select 'e' || i as id, 'n' || i as name from range(2000) r(i)")
    sync = sink_sync(sync_mode="append", options=TWENTY)
    launcher.start(shop, sync, "sink", remote.url)
    next(rows for rows in launcher.sent() if rows)
    launcher.kill()
    shop.journal.close()
    for left in shop.home.glob("journal.sqlite*"):
        left.unlink()
    shop.journal = Journal.open(shop.journal_url, stop_folder=shop.home)
    with pytest.raises(StateMismatch, match="and the journal does not"):
        shop.run(sync, sink(remote.url))


def a_mirror(shop: Shop, remote: RemoteSandbox) -> tuple[Sync, bytes]:
    """A sync that is about to write, make and delete hundreds of records, and the records before."""
    shop.build("select 'p' || i || '@shop.example' as email, 'n' || i as name from range(500) r(i)")
    sync = crm_sync(sync_mode="mirror", guards={"max_removed": {}}, verify={"sample": 0})
    shop.run(sync, crm(remote.url))
    before = remote.snapshot("hubspot", "contacts", ids=False)
    shop.sql(
        "update marts.people set email = 'q' || email where name between 'n3' and 'n5'",
        "update marts.people set name = 'x' || name where name < 'n3'",
    )
    return sync, before


def killed(shop: Shop, launcher: Launcher, remote: RemoteSandbox, sync: Sync, requests: int, **options: Any) -> Run:
    """A run, or an undo, killed after so many requests of about 18."""
    sent = remote.counts()["hubspot"]["calls"]["total"]
    launcher.start(shop, sync, "crm", remote.url, **options)
    until(lambda: remote.counts()["hubspot"]["calls"]["total"] >= sent + requests)
    launcher.kill()
    return shop.journal.history(sync.sync, 1)[0]


def test_a_run_that_was_killed_is_undone(shop: Shop, launcher: Launcher, remote: RemoteSandbox) -> None:
    """With the rows that were in flight: nobody was told what became of them."""
    sync, before = a_mirror(shop, remote)
    run = killed(shop, launcher, remote, sync, 8)
    assert run.status is RunStatus.OPEN
    report = undo_run(run.run_id, sync, shop.environment, crm(remote.url), who="ada", why="wrong")
    assert report.recovered == (run.run_id,)
    assert (report.status, report.counts["failed"], report.counts.get("skipped_edited", 0)) == (RunStatus.DONE, 0, 0)
    assert remote.snapshot("hubspot", "contacts", ids=False) == before


@pytest.mark.parametrize("requests", first([4, 12] if len(SEEDS) < 18 else range(1, 17)))
def test_an_undo_that_was_killed(shop: Shop, launcher: Launcher, remote: RemoteSandbox, requests: int) -> None:
    """Whatever runs next folds in what it was told; another undo puts back the rest, and nothing is an edit."""
    sync, before = a_mirror(shop, remote)
    account = crm(remote.url)
    run = shop.run(sync, account)
    assert min(run.counts[name] for name in ("created", "updated", "deleted")) > 100
    first = killed(shop, launcher, remote, sync, requests, undoes=run.run_id)

    report = shop.run(sync, account)
    assert report.status is RunStatus.GUARDED  # by the stop that the undo left
    assert report.recovered == (first.run_id,)
    undone = shop.journal.undone_by(run.run_id)
    assert undone is not None
    assert (undone.run_id, undone.status) == (first.run_id, RunStatus.STOPPED)

    rest = undo_run(run.run_id, sync, shop.environment, account, who="ada", why="the rest")
    assert (rest.status, rest.counts["failed"], rest.counts.get("skipped_edited", 0)) == (RunStatus.DONE, 0, 0)
    assert remote.snapshot("hubspot", "contacts", ids=False) == before
    held = {
        each["values"]["email"]: (each["id"], each["values"]["firstname"])
        for each in remote.records("hubspot", "contacts")
    }
    found = shop.state(sync, "select _retl_key, _retl_id, firstname from state.synced")
    assert {key: (record_id, name) for key, record_id, name in found} == held


JOB = {"bulk_threshold": 100}
CONTACTS = {
    "object": "Contact",
    "mapping": {"External_Id__c": "id", "LastName": "name"},
    "external_id": "External_Id__c",
    "options": JOB,
}


def kill_after_the_hand_over(shop: Shop, launcher: Launcher, remote: RemoteSandbox, sync: Sync) -> None:
    shop.build("select 'c' || i as id, 'n' || i as name from range(500) r(i)")
    remote.set(salesforce_bulk_polls=40)
    launcher.start(shop, sync, "salesforce", remote.url)
    job = "/jobs/ingest/"
    until(
        lambda: any(
            line["method"] == "GET" and job in line["path"] and line["status"] == 200
            for line in remote.log("salesforce")
        )
    )
    launcher.kill()


def test_a_job_that_was_handed_over_is_collected_by_the_next_run(
    shop: Shop, launcher: Launcher, remote: RemoteSandbox
) -> None:
    sync = sink_sync(**CONTACTS)
    kill_after_the_hand_over(shop, launcher, remote, sync)
    report = shop.run(sync, salesforce(remote.url))
    assert report.change_set == 0
    (recovered,) = report.recovered
    run = shop.journal.run(recovered)
    assert run is not None
    assert run.counts["created"] == 500
    assert shop.state(sync, "select count(*) from state.synced") == [(500,)]
    assert remote.counts()["salesforce"]["objects"]["Contact"]["records"] == 500
    uploads = [line for line in remote.log("salesforce") if line["method"] == "PUT"]
    assert len(uploads) == 1


def test_a_job_that_the_destination_forgot_is_reported(shop: Shop, launcher: Launcher, remote: RemoteSandbox) -> None:
    sync = sink_sync(**CONTACTS)
    kill_after_the_hand_over(shop, launcher, remote, sync)
    remote.reset()
    report = shop.run(sync, salesforce(remote.url))
    (recovered,) = report.recovered
    run = shop.journal.run(recovered)
    assert run is not None
    assert run.counts["failed_ambiguous"] == 500
    assert report.counts["created"] == 500


def test_a_job_that_cannot_be_asked_about_waits_for_a_later_run(
    shop: Shop, launcher: Launcher, remote: RemoteSandbox
) -> None:
    sync = sink_sync(**CONTACTS)
    kill_after_the_hand_over(shop, launcher, remote, sync)
    remote.fault("server_error", vendor="salesforce", path="jobs/ingest", status=503)
    with pytest.raises(Exception, match="could not be read"):
        shop.run(sync, salesforce(remote.url))
    remote.clear_faults()
    report = shop.run(sync, salesforce(remote.url))
    assert report.change_set == 0
    assert remote.counts()["salesforce"]["objects"]["Contact"]["records"] == 500


@pytest.mark.parametrize("path", first(["successfulResults", "jobs/ingest/[^/]+$"]))
def test_a_job_of_which_one_question_is_refused_is_not_handed_over_again(
    shop: Shop, launcher: Launcher, remote: RemoteSandbox, path: str
) -> None:
    sync = sink_sync(**CONTACTS, sync_mode="insert_only")
    kill_after_the_hand_over(shop, launcher, remote, sync)
    remote.fault("server_error", vendor="salesforce", method="GET", path=path, next=1, status=400)
    report = shop.run(sync, salesforce(remote.url))
    (recovered,) = report.recovered
    run = shop.journal.run(recovered)
    assert run is not None
    assert run.counts["created"] == 500
    assert report.change_set == 0
    assert len([line for line in remote.log("salesforce") if line["method"] == "PUT"]) == 1


def test_jobs_that_were_opened_with_their_rows_are_collected(
    shop: Shop, launcher: Launcher, remote: RemoteSandbox
) -> None:
    """Zendesk tells the id of a job only with the rows, and its results by their place: one row of them is not sent."""
    mapping = {"name": "name", "user_fields.customer_tier": "tier"}
    users = {
        "destination": "zendesk",
        "object": "users",
        "external_id": "external_id",
        "mapping": mapping,
        "options": {},
    }
    sync = sink_sync(**users)
    tier = "case i when 8 then 'no such tier' else 'free' end as tier"
    shop.build(f"select 'c' || i as id, case i when 7 then '' else 'n' || i end as name, {tier} from range(150) r(i)")
    remote.set(zendesk_requests=1_000_000, zendesk_job_polls=40)
    launcher.start(shop, sync, "zendesk", remote.url)
    until(lambda: remote.counts()["zendesk"]["operations"].get("poll", 0) > 2)
    launcher.kill()
    report = shop.run(sync, zendesk(remote.url))
    (recovered,) = report.recovered
    run = shop.journal.run(recovered)
    assert run is not None
    assert (run.counts["created"], run.counts["failed"]) == (148, 2)
    failed = f"select key, reason from state.outcomes where run_id = '{recovered}' and status = 'failed' order by key"
    assert shop.state(sync, failed) == [("c7", "rejected"), ("c8", "invalid")]
    assert remote.counts()["zendesk"]["operations"]["bulk upsert"] == 2  # none is sent again
    assert report.counts["failed"] == 2
