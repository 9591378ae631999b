"""A plan whose synced rows do not fit into memory finds what the whole comparison finds."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets import sql as reverse_etl_sql
from reverse_etl_assets.plan import change_set as plan
from reverse_etl_assets.plan.change_set import make_plan
from reverse_etl_assets.state import ledger
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_sandbox.server import Sandbox
from tests.engine.by_hand import People, by_hand
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy

ROWS = 5_000
NULLS_AND_MORE = f"""
    select case when i = 7 then null when i in (8, 9) then 'twice' else 'k' || i end as id,
        case when i % 5 = 0 then null else 'name' || i end as name, i / 3.0 as score, i::decimal(12, 2) as amount,
        timestamp '2026-01-01' + interval (i) minute as seen, [i, i + 1] as steps
    from range({ROWS}) r(i)
"""
EDITS = (
    "update marts.people set name = null where id in ('k11', 'k4001')",
    "update marts.people set name = 'was null' where id = 'k15'",
    "update marts.people set amount = amount + 0.01 where id = 'k16'",
    "update marts.people set steps = [1, null] where id = 'k17'",
    "delete from marts.people where id in ('k20', 'k21')",
    "insert into marts.people select 'new', 'n', 1.0, 2.0, timestamp '2026-02-02', [3]",
    "insert into marts.people select 'k30', 'again', 1.0, 2.0, timestamp '2026-02-02', [3]",  # now there twice
)


def planned(shop: Shop, sync: Any) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    model = shop.models["people"]
    with shop.warehouse.open(sync.sync, write=True, models=True) as con:
        columns = Columns.of(sync, shop.warehouse.column_types(con, model), fold_case=False)
        ledger.prepare(con, columns)
        found = make_plan(con, shop.warehouse.relation(model), columns)
        rows = con.execute("select * exclude (external_id) from state.outbox order by all").fetchall()
        return asdict(found), rows


@pytest.mark.parametrize("mode", first(["mirror", "insert_only"]))
def test_narrowed_and_whole_comparison_agree(
    shop: Shop, sandbox: Sandbox, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("id", "name", "score", "amount", "seen", "steps")
    shop.build(NULLS_AND_MORE)
    sync = sink_sync(sync_mode=mode, mapping={name: name for name in names})
    shop.run(sync, sink(sandbox.url))
    shop.sql(*EDITS)
    whole = planned(shop, sync)

    monkeypatch.setattr(plan, "_MEMORY_SHARE", 0.0)  # nothing fits
    narrowed: list[str] = []
    render = reverse_etl_sql.render
    monkeypatch.setattr(plan, "render", lambda name, **given: narrowed.append(name) or render(name, **given))

    assert planned(shop, sync) == whole
    assert "narrow" in narrowed
    assert whole[0]["added"] == 1
    assert whole[0]["rejected"] == 5  # one without a key, two keys that stand twice
    assert whole[0]["changed"] == (5 if mode == "mirror" else 0)


@heavy
def test_rows_the_destination_was_not_told_are_among_the_narrowed(
    shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.build(NULLS_AND_MORE)
    shop.run(sink_sync(mapping={"id": "id", "name": "name"}), sink(sandbox.url))
    wider = sink_sync(mapping={name: name for name in ("id", "name", "score", "amount", "seen", "steps")})
    whole = planned(shop, wider)
    monkeypatch.setattr(plan, "_MEMORY_SHARE", 0.0)

    assert planned(shop, wider) == whole
    assert whole[0]["changed"] == ROWS - 3


@heavy
@pytest.mark.parametrize("mode", ["mirror", "insert_only"])
def test_a_narrowed_plan_counts_what_the_whole_one_does(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also rows that the mode leaves alone: those that left the model, where nothing is deleted."""
    counted = []
    for share in (0.5, 0.0):
        monkeypatch.setattr(plan, "_MEMORY_SHARE", share)
        folder = tmp_path / str(share)
        folder.mkdir()
        with by_hand(folder, sync_mode=mode) as home:
            home.run(
                "1", {"stays": ("Sam", None), "changes": ("Cem", None), "goes": ("Guy", None), "untold": ("U", None)}
            )
            home.con.execute("update state.synced set _retl_untold = ['city'] where _retl_key = 'untold'")
            then: People = {
                "stays": ("Sam", None),
                "changes": (None, "Bonn"),
                "comes": ("Cat", None),
                "untold": ("U", None),
            }
            made = home.plan("2", then)
            counted.append((made.counts, home.all("select * exclude (external_id) from state.outbox order by key")))
    assert counted[0] == counted[1]
    assert counted[0][0]["removed"] == 1
