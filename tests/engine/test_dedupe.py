"""Rows that share a key: which of them is sent, and what is told of the others and of records that share one."""

from typing import Any

import pytest

from reverse_etl_assets import sql as reverse_etl_sql
from reverse_etl_assets.plan import change_set as plan
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy

ANN, BOB = "p0@shop.example", "p1@shop.example"
LATEST = "latest by changed_at"


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def crm(request: pytest.FixtureRequest, sandbox: Sandbox) -> Crm:
    return a_crm(request.param, sandbox)


def again(shop: Shop, email: str, name: str, changed_at: str | None) -> None:
    """One more row of the model with this key."""
    at = "null" if changed_at is None else f"timestamp '{changed_at}'"
    shop.sql(
        f"insert into marts.people select id, '{email}', '{name}', phone, company, {at} from marts.people"
        f" where lower(email) = lower('{email}') limit 1"
    )


def figures(report: Report) -> tuple[int, int, int]:
    counts = report.counts
    return counts["superseded"], counts.get("skipped_superseded", 0), counts["rejected"]


def told(shop: Shop, sync: Sync, report: Report) -> list[tuple[str | None, str, str | None]]:
    return sorted((each.key, each.status, each.message) for each in shop.outcomes(sync, report.run_id))


def test_the_latest_row_of_a_key_is_sent(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(2))
    again(shop, ANN.upper(), "Newer", "2026-02-02")
    again(shop, ANN, "Newest", "2026-03-03")
    again(shop, ANN, "Without a time", None)
    sync = crm.sync(on_duplicate_key=LATEST)
    first = shop.run(sync, crm.account)
    assert crm.values(crm.name) == {ANN: "Newest", BOB: "Name 1"}
    assert figures(first) == (3, 3, 0)
    assert (first.counts["model_rows"], first.counts["created"], first.counts["failed"]) == (5, 2, 0)
    left_out = "another row of this key has a greater `changed_at`, and that one counts"
    assert told(shop, sync, first) == [
        (ANN, "created", None),
        *[(ANN, "skipped", left_out)] * 3,
        (BOB, "created", None),
    ]

    second = shop.run(sync, crm.account)
    assert second.change_set == 0, "told once"
    assert (figures(second), second.counts["unchanged"]) == ((3, 0, 0), 2)

    shop.sql(f"update marts.people set name = 'Robert' where email = '{BOB}'")
    again(shop, BOB, "Bobby", "2020-01-01")
    third = shop.run(sync, crm.account)
    assert (figures(third), third.counts["updated"]) == ((4, 1, 0), 1)

    shop.sql("delete from marts.people where name = 'Newest'")
    fourth = shop.run(sync, crm.account)
    assert (figures(fourth), fourth.counts["updated"], fourth.counts["removed"]) == ((3, 2, 0), 1, 0)
    assert {key.lower(): name for key, name in crm.values(crm.name).items()} == {ANN: "Newer", BOB: "Robert"}


def test_rows_that_tie_are_rejected_all_of_them(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(2))
    again(shop, ANN, "One", "2026-02-02")
    again(shop, ANN.upper(), "Other", "2026-02-02")
    again(shop, BOB, "Bobby", None)
    shop.sql(f"update marts.people set changed_at = null where email = '{BOB}'")
    sync = crm.sync(on_duplicate_key=LATEST)
    report = shop.run(sync, crm.account)
    assert crm.records == {}
    assert figures(report) == (1, 1, 4)
    shares = "2 rows of the model share this primary key, and none of them alone has the greatest `changed_at`"
    assert [each for each in told(shop, sync, report) if each[1] == "failed"] == [
        *[(ANN, "failed", shares)] * 2,
        *[(BOB, "failed", shares)] * 2,
    ]


def test_a_preview_says_what_the_run_does(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(3))
    crm = a_crm("hubspot", sandbox)
    again(shop, ANN, "Newer", "2026-02-02")
    again(shop, BOB, "Tied", "2026-01-01")
    sync = crm.sync(on_duplicate_key=LATEST)
    found, of_ann = (preview(sync, shop.environment, crm.account, key=key) for key in (None, ANN.upper()))
    assert (of_ann.plan.model_rows, of_ann.plan.superseded, len(of_ann.rows)) == (2, 1, 1)
    assert of_ann.rows[0].fields[crm.name] == (None, "Newer")
    report = shop.run(sync, crm.account)
    assert found.plan.counts == {name: report.counts[name] for name in found.plan.counts}
    planned = sorted((row.key, row.reason) for row in found.refused)
    unsent = [each for each in shop.outcomes(sync, report.run_id) if each.status in ("skipped", "failed")]
    assert planned == sorted((each.key, each.reason) for each in unsent)


ROWS = """
    select case when i % 7 = 0 then null else 'k' || i // 3 end as id, 'n' || i as name,
        case when i % 5 = 0 then null else timestamp '2026-01-01' + interval (i % 11) hour end as changed_at
    from range(600) r(i)
"""


@heavy
def test_a_narrowed_plan_finds_the_same(shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.build(ROWS)
    sync = sink_sync(on_duplicate_key=LATEST, max_failed={"percent": 100})
    shop.run(sync, sink(sandbox.url))
    shop.sql(
        "update marts.people set name = 'x' where name in ('n13', 'n14', 'n301')",
        "insert into marts.people values ('k9', 'late', timestamp '2026-12-31'), ('k10', 'early', null)",
    )

    def found() -> tuple[dict[str, int], Any]:
        look = preview(sync, shop.environment, sink(sandbox.url))
        return look.plan.counts, (look.rows, look.refused)

    whole = found()
    monkeypatch.setattr(plan, "_MEMORY_SHARE", 0.0)  # nothing fits
    narrowed: list[str] = []
    render = reverse_etl_sql.render
    monkeypatch.setattr(plan, "render", lambda name, **given: narrowed.append(name) or render(name, **given))
    assert found() == whole
    assert "narrow" in narrowed
    counts = whole[0]
    assert counts["changed"] > 0
    assert counts["rejected"] > 0
    assert sum(counts[name] for name in ("added", "changed", "unchanged", "rejected", "superseded")) == 602


@heavy
def test_only_what_was_modified_lately(shop: Shop, sandbox: Sandbox) -> None:
    """A row that is late itself may lose to one that is not looked at."""
    shop.build("select 'a' as id, 'first' as name, timestamp '2026-01-01' as at, 5 as rank")
    lately = sink_sync(on_duplicate_key="latest by rank", change_detection={"last_modified_at": "at"})
    shop.run(lately, sink(sandbox.url))
    shop.sql("insert into marts.people values ('a', 'loses', timestamp '2026-02-01', 4)")
    report = shop.run(lately, sink(sandbox.url))
    assert (report.change_set, report.counts["superseded"]) == (0, 1)
    shop.sql("insert into marts.people values ('a', 'wins', timestamp '2026-02-02', 6)")
    report = shop.run(lately, sink(sandbox.url))
    assert (report.counts["updated"], report.counts["superseded"]) == (1, 2)


def test_without_the_setting_nobody_guesses(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'a' as id, 'n' || i as name from range(2) r(i)")
    sync = sink_sync(on_duplicate_key="reject", max_failed={"percent": 100})
    report = shop.run(sync, sink(sandbox.url))
    assert (figures(report), report.counts["failed_invalid"]) == ((0, 0, 2), 2)


@heavy
@pytest.mark.parametrize(
    ("before_images", "code"), [("destination", "AMBIGUOUS_KEY"), ("synced", "DUPLICATE_EXTERNAL_ID")]
)
def test_possible_duplicates_at_the_destination_are_named(
    shop: Shop, sandbox: Sandbox, before_images: str, code: str
) -> None:
    """As we find them before we write, or as Salesforce says when it refuses the row. HubSpot's keys are unique."""
    crm = a_crm("salesforce", sandbox)
    shop.build(PEOPLE.format(2))
    sync = crm.sync(before_images=before_images, quarantine={"after": 1}, max_failed={"rows": 1})
    shop.run(sync, crm.account)
    ids = [crm.records[ANN].id, sandbox.duplicate("salesforce", crm.object, crm.records[ANN].id)]
    shop.sql("update marts.people set name = 'Other'")
    report = shop.run(sync, crm.account)
    outcome = shop.by_key(sync, report)[ANN]
    assert (outcome.status, outcome.reason, outcome.code) == ("failed", "rejected", code)
    assert all(each in (outcome.message or "") for each in ids)
    assert (report.counts["possible_duplicates"], report.counts["updated"]) == (1, 1)
    later = shop.run(sync, crm.account)
    assert (later.counts["possible_duplicates"], later.counts["skipped_quarantined"]) == (1, 1)
