"""Runs that are undone, and what they wrote."""

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from tests.engine.crms import PEOPLE, Crm
from tests.engine.shop import Shop

ANN, BOB, CEM, FAY, GUS = (f"{name}@shop.example" for name in ("p0", "p1", "p2", "fay", "gus"))


def undo(shop: Shop, sync: Sync, account: Account, run: Report | str) -> Report:
    run_id = run if isinstance(run, str) else run.run_id
    return undo_run(run_id, sync, shop.environment, account, who="ada", why="wrong names")


def resume(shop: Shop, sync: Sync) -> None:
    shop.journal.resume(f"sync:{sync.sync}", "ada", "right again")


def written(report: Report) -> tuple[int, int, int]:
    return report.counts["updated"], report.counts["created"], report.counts["deleted"]


def records(crm: Crm) -> bytes:
    """All of them, without their ids, which a record that is made again does not keep."""
    return crm.sandbox.snapshot(crm.vendor, crm.object, ids=False)


def a_run(shop: Shop, crm: Crm, sync: Sync) -> tuple[bytes, Report]:
    """The records before a run, and the run."""
    before, run = prepared(shop, crm, sync), shop.run(sync, crm.account)
    assert written(run) == (3, 1, 1)
    return before, run


def prepared(shop: Shop, crm: Crm, sync: Sync) -> bytes:
    """The records before a run: Ann and Cem are about to change, Bob to go, Fay to come, and Gus was there before."""
    crm.add(**{crm.key: GUS, crm.name: "Gus", crm.company: "G"})
    shop.build(PEOPLE.format(4))
    assert shop.run(sync, crm.account).counts["created"] == 4
    before = records(crm)
    shop.sql(
        f"update marts.people set name = 'New' where email = '{ANN}'",
        f"update marts.people set phone = null where email = '{CEM}'",
        f"delete from marts.people where email = '{BOB}'",
        *(f"insert into marts.people values ('', '{key}', 'N', '+1', 'C', '2026-01-01')" for key in (FAY, GUS)),
    )
    return before


def same_as_synced(shop: Shop, crm: Crm, sync: Sync) -> None:
    """Every synced row is what its record holds."""
    names = (crm.name, crm.phone, crm.company)
    rows = shop.state(sync, f"select _retl_key, _retl_id, _retl_untold, {', '.join(names)} from state.synced")
    assert rows
    for key, record_id, untold, *values in rows:
        entry = crm.records[key]
        assert (entry.id, None, [entry.values.get(name) for name in names]) == (record_id, untold, values)
