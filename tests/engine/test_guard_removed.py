"""`max_removed` is about records that would be deleted, not about rows that merely left the model."""

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first


@pytest.mark.parametrize("mode", first(["mirror", "append", "incremental"]))
def test_only_rows_to_delete_count_as_removed(shop: Shop, sandbox: Sandbox, mode: str) -> None:
    sync, account = sink_sync(sync_mode=mode), sink(sandbox.url)
    shop.build("select i::varchar id, 'n' as name from range(100) r(i)")
    shop.run(sync, account)
    shop.build("select i::varchar id, 'n' as name from range(100, 200) r(i)")
    report = shop.run(sync, account)
    assert report.counts["removed"] == 100
    if mode == "mirror":
        assert report.status is RunStatus.GUARDED
        assert "max_removed" in str(report.detail)
    else:
        assert report.status is RunStatus.DONE
        assert report.counts["created"] == 100
