"""A run was killed: the plan counts its answers as home, as the next run will, and leaves them where they are."""

import pytest

from reverse_etl_assets.errors import SyncBusy
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.runs.run import exclusive
from reverse_etl_sandbox.server import RemoteSandbox, Sandbox
from tests.engine.launcher import Launcher
from tests.engine.shop import Shop, crm, crm_sync
from tests.heavy import heavy


@heavy
def test_answers_of_a_killed_run(shop: Shop, launcher: Launcher, other_process: RemoteSandbox) -> None:
    shop.build("select 'p' || i || '@shop.example' as email, 'n' || i as name from range(2000) r(i)")
    sync = crm_sync()
    remote = other_process
    remote.reset()
    remote.set(hubspot_ten_second_requests=1_000_000, latency_ms=20.0)
    launcher.start(shop, sync, "crm", remote.url)
    for rows in launcher.sent():
        if rows >= 300:
            break
    launcher.kill()
    account = crm(remote.url)
    state = shop.warehouse.state_file(sync.sync).read_bytes()
    found = preview(sync, shop.environment, account, limit=5)
    again = preview(sync, shop.environment, account, limit=5)
    assert shop.warehouse.state_file(sync.sync).read_bytes() == state
    assert again == found
    assert len(found.unfinished) == 1
    report = shop.run(sync, account)
    assert 0 < found.plan.added < 2000
    assert found.plan.counts == {name: report.counts[name] for name in found.plan.counts}
    assert report.recovered == found.unfinished


def test_a_run_that_is_going_on(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'ada@shop.example' as email, 'Ada' as name")
    sync, account = crm_sync(), crm(sandbox.url)
    shop.run(sync, account)
    shop.journal.start_run("going on", sync.sync, account.name)
    with exclusive(sync, shop.warehouse), pytest.raises(SyncBusy):
        preview(sync, shop.environment, account)
