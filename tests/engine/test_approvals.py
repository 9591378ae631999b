"""A plan that waits: which id it has, what an approval lets out, and what makes it stale."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.guards.finding import tripped
from reverse_etl_assets.journal.records import PlanStatus, RunStatus
from reverse_etl_assets.previews.kept_plan import kept_plan
from reverse_etl_assets.previews.preview import Preview, preview
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, a_crm
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.heavy import first_rows, heavy
from tests.journal_entries import record_model_results

FREE = {"max_removed": {}, "row_count": {"percent": None, "deviations": None}}
FIVE = PEOPLE.format(5)
CHANGED = f"select * replace (name || '!' as name) from ({FIVE}) where id <> '4'"
HALF_EMPTY = f"select * replace (case when id > '1' then phone end as phone) from ({CHANGED})"


def a_target(vendor: str, sandbox: Sandbox) -> tuple[Callable[..., Sync], Account]:
    """How a sync of people is made, and where it goes."""
    if vendor == "webhook":
        return partial(people, mapping={"id": "id", "name": "name", "phone": "phone"}), sink(sandbox.url)
    crm = a_crm(vendor, sandbox)
    return crm.sync, crm.account


def look(shop: Shop, sync: Sync, account: Account) -> Preview:
    return preview(sync, shop.environment, account)


def same_plan(shop: Shop, sync: Sync, account: Account) -> Report:
    """Looks, runs, and sees that both planned the same."""
    seen = look(shop, sync, account)
    report = shop.run(sync, account)
    assert seen.plan_id == report.plan_id
    assert seen.forecast == report.forecast
    decided = [finding for finding in report.findings if finding.guard not in ("kill_switch", "in_flight")]
    assert list(seen.findings) == decided
    return report


@pytest.mark.parametrize(
    ("vendor", "changes"),
    first_rows(
        [
            ("salesforce", {}),
            ("hubspot", {}),
            ("webhook", {}),
            ("hubspot", {"sync_mode": "update_only"}),
            ("webhook", {"sync_mode": "update_only"}),
            ("salesforce", {"mapping": {"Phone": {"column": "phone", "null": "keep"}}}),
            ("webhook", {"mapping": {"id": "id", "name": "name", "phone": {"column": "phone", "null": "keep"}}}),
        ]
    ),
)
def test_a_run_plans_what_was_seen_before_it(
    shop: Shop, sandbox: Sandbox, vendor: str, changes: dict[str, Any]
) -> None:
    """Rows are added, then changed and removed, then all of them are."""
    make, account = a_target(vendor, sandbox)
    ids = []
    for model in (FIVE, HALF_EMPTY, f"{HALF_EMPTY} limit 0"):
        shop.build(model)
        ids.append(same_plan(shop, make(**changes, guards={**FREE, "allow_empty_model": True}), account).plan_id)
    assert len(set(ids)) == 3


@pytest.fixture
def many(shop: Shop, sandbox: Sandbox) -> tuple[Shop, Sync, Account]:
    """Five people in the sink; then one of them leaves, and the guard lets none go."""
    account, sync = sink(sandbox.url), people(guards={**FREE, "max_removed": {"rows": 0}})
    shop.build(FIVE)
    shop.run(sync, account)
    shop.build(CHANGED)
    return shop, sync, account


def people(**changes: Any) -> Sync:
    return sink_sync(**{"mapping": {"id": "id", "name": "name"}, "sync_mode": "mirror", "guards": FREE, **changes})


def held_back(shop: Shop, sync: Sync, account: Account, **options: Any) -> Report:
    report = shop.run(sync, account, **options)
    assert report.status is RunStatus.GUARDED
    assert report.calls == 0
    return report


def approved(shop: Shop, sync: Sync, account: Account) -> str:
    """A plan that waited and was approved."""
    plan_id = held_back(shop, sync, account).plan_id
    assert plan_id
    shop.journal.approve(plan_id, "Kim", "They are gone for good")
    return plan_id


def why_not(report: Report) -> str:
    return next(finding.message for finding in tripped(report.findings) if finding.guard == "approval")


def test_exactly_the_approved_plan_goes_out_once(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    plan_id = approved(shop, sync, account)
    report = shop.run(sync, account)
    assert (report.status, report.plan_id) == (RunStatus.DONE, plan_id)
    assert (report.counts["updated"], report.counts["deleted"]) == (4, 1)
    removed = next(finding for finding in report.findings if finding.guard == "max_removed")
    assert removed.message == "1 removed; the limit is 0 rows; approved by Kim: They are gone for good"
    assert shop.journal.plan(plan_id).status is PlanStatus.APPLIED
    assert shop.run(sync, account).change_set == 0
    shop.build(FIVE)
    shop.run(sync, account)
    shop.build(CHANGED)
    again = held_back(shop, sync, account)
    assert again.plan_id == plan_id, "the very same change set, at a later time"
    assert [finding.guard for finding in tripped(again.findings)] == ["max_removed"]


@heavy
def test_rows_of_a_waiting_plan_are_kept_as_they_were(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    report = held_back(shop, sync, account)
    seen, kept = look(shop, sync, account), kept_plan(sync, shop.environment, account)
    assert (kept.plan_id, kept.rows, kept.refused) == (report.plan_id, seen.rows, seen.refused)
    assert kept.plan.counts == seen.plan.counts
    assert (kept.plan.to_send, kept.plan.field_changes) == (seen.plan.to_send, seen.plan.field_changes)
    assert kept.forecast == seen.forecast
    assert kept.waits
    assert [(finding.guard, finding.value, finding.limit) for finding in kept.findings] == [("max_removed", 1, 0)]
    shop.build(FIVE)
    shop.run(sync, account)
    assert report.plan_id
    with pytest.raises(StateError, match=f"the rows of plan {report.plan_id} are no longer kept"):
        kept_plan(sync, shop.environment, account, report.plan_id)
    with pytest.raises(StateError, match="no plan of people_to_sink waits"):
        kept_plan(sync, shop.environment, account)


def test_an_approval_of_other_data_says_what_changed(many: tuple[Shop, Sync, Account], sandbox: Sandbox) -> None:
    shop, sync, account = many
    plan_id = approved(shop, sync, account)
    shop.sql("update marts.people set name = 'Zoe' where id = '0'")
    seen, before = look(shop, sync, account), len(sandbox.log.lines())
    report = held_back(shop, sync, account)
    assert why_not(report) == (
        f"the approval of plan {plan_id} does not hold: the data changed (1 delete, 4 upsert, now 1 delete, 4 upsert)"
    )
    assert not seen.goes_out
    assert [f.message for f in seen.findings if f.guard == "approval"] == [why_not(report)]
    assert len(sandbox.log.lines()) == before
    assert shop.journal.plan(plan_id).status is PlanStatus.SUPERSEDED
    assert shop.journal.plan(report.plan_id or "").status is PlanStatus.WAITING


def test_an_approval_of_another_mapping_says_which_field(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    approved(shop, sync, account)
    other = people(guards=sync.guards.model_dump(), mapping={"id": "id", "name": "name", "phone": "phone"})
    assert "the mapping of `phone` changed, " in why_not(held_back(shop, other, account))


@heavy
def test_an_approval_of_another_version_says_so(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    approved(shop, sync, account)
    mapping = {"id": "id", "name": "company"}
    other = people(approval="always", mapping=mapping, version=2, cutover="resend")
    said = why_not(held_back(shop, other, account))
    assert "the mapping of `name` changed, `version` changed, the data changed" in said


@heavy
def test_an_approval_of_another_type_says_which_field(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    shop.build(f"select * replace (id::int as name) from ({CHANGED})")
    approved(shop, sync, account)
    shop.build(f"select * replace (id::bigint as name) from ({CHANGED})")
    assert "the type of `name` changed" in why_not(held_back(shop, sync, account))


@pytest.mark.parametrize(
    ("options", "connection", "says"),
    first_rows(
        [
            ({"batch_size": 2}, {}, "the destination's `options.batch_size` changed"),
            ({}, {"base_url": "http://127.0.0.1:9/rest"}, "the destination's `base_url` changed"),
        ]
    ),
)
def test_an_approval_of_another_destination_says_which_setting(
    many: tuple[Shop, Sync, Account], options: dict[str, Any], connection: dict[str, Any], says: str
) -> None:
    shop, sync, account = many
    approved(shop, sync, account)
    sync = sync.model_copy(update={"options": {**SINK, **options}})
    account = replace(account, connection=account.connection.model_copy(update=connection))
    assert why_not(held_back(shop, sync, account)).endswith(f"does not hold: {says}")


@heavy
def test_how_fast_it_goes_is_no_part_of_a_plan(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    plan_id = approved(shop, sync, account)
    pace = {"requests_per_second": 1000.0, "concurrency": 1, "budget": Budget(calls=1_000)}
    slower = account.connection.model_copy(update=pace)
    assert shop.run(sync, replace(account, connection=slower)).plan_id == plan_id


def test_a_secret_is_no_part_of_a_plan(shop: Shop, sandbox: Sandbox) -> None:
    sync = people(approval="always")
    shop.build(FIVE)
    report = held_back(shop, sync, sink(sandbox.url, token="the old secret"))
    assert look(shop, sync, sink(sandbox.url, token="the new secret")).plan_id == report.plan_id
    assert "old secret" not in str(shop.journal.plan(report.plan_id or ""))


class TestAlways:
    @heavy
    def test_every_plan_waits_and_goes_out_once_approved(self, shop: Shop, sandbox: Sandbox) -> None:
        sync, account = people(approval="always"), sink(sandbox.url)
        for model, sent in ((FIVE, 5), (CHANGED, 5)):
            shop.build(model)
            plan_id = held_back(shop, sync, account).plan_id
            held_back(shop, sync, account)
            assert why_not(shop.run(sync, account)) == "the plan waits for a person's approval"
            shop.journal.approve(plan_id or "", "Kim", "Seen")
            assert shop.run(sync, account).written == sent

    @heavy
    def test_a_plan_with_nothing_to_send_waits_for_nobody(self, shop: Shop, sandbox: Sandbox) -> None:
        sync, account = people(approval="always"), sink(sandbox.url)
        shop.build(FIVE)
        approved(shop, sync, account)
        shop.run(sync, account)
        assert look(shop, sync, account).goes_out
        assert shop.run(sync, account).status is RunStatus.DONE
        assert shop.journal.waiting_plans() == []

    @heavy
    def test_what_nobody_can_approve_does_not_wait(self, shop: Shop, sandbox: Sandbox) -> None:
        """An incremental sync of an empty model: it is stopped, but there is nothing to send."""
        sync, account = people(sync_mode="incremental"), sink(sandbox.url)
        shop.build(FIVE)
        shop.run(sync, account)
        shop.build(f"{FIVE} limit 0")
        report = held_back(shop, sync, account)
        assert [finding.guard for finding in tripped(report.findings)] == ["empty_model"]
        assert (report.waits, shop.journal.waiting_plans()) == (False, [])


@heavy
def test_a_guard_that_trips_only_now_still_stops(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    plan_id = approved(shop, sync, account)
    record_model_results(shop.journal, "model.shop.people", {"unique_people_id": "fail"})
    report = held_back(shop, sync, account)
    assert report.plan_id == plan_id
    assert [finding.guard for finding in tripped(report.findings)] == ["model_tests"]
    waiting = shop.journal.plan(plan_id)
    assert waiting.status is PlanStatus.WAITING
    assert {finding.guard for finding in waiting.findings} == {"max_removed", "model_tests"}
    shop.journal.approve(plan_id, "Kim", "The test is wrong")
    assert shop.run(sync, account).counts["deleted"] == 1


@heavy
def test_another_field_that_trips_the_same_guard_still_stops(shop: Shop, sandbox: Sandbox) -> None:
    """The plan is the same; a limit of its file was lowered meanwhile."""
    mapping = {"id": "id", "name": "name", "phone": "phone"}
    account, strict = sink(sandbox.url), {"max_changed": {"rows": 0}}
    free = people(mapping=mapping)
    shop.build(FIVE)
    shop.run(free, account)
    shop.build(f"select * replace (name || '!' as name, phone || '1' as phone) from ({FIVE})")
    approved(shop, people(mapping=mapping, guards={**FREE, "fields": {"name": strict}}), account)
    both = people(mapping=mapping, guards={**FREE, "fields": {"name": strict, "phone": strict}})
    report = held_back(shop, both, account)
    assert [(finding.guard, finding.field) for finding in tripped(report.findings)] == [("field_changes", "phone")]


def test_the_kill_switch_cannot_be_approved_away(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    plan_id = approved(shop, sync, account)
    shop.journal.stop("all", "Lee", "Audit")
    report = held_back(shop, sync, account)
    assert [finding.guard for finding in tripped(report.findings)] == ["kill_switch"]
    shop.journal.resume("all", "Lee", "")
    assert shop.journal.plan(plan_id).status is PlanStatus.APPROVED, "and the approval holds on"
    assert shop.run(sync, account).counts["deleted"] == 1


@heavy
def test_a_spent_budget_cannot_be_approved_away(many: tuple[Shop, Sync, Account]) -> None:
    shop, sync, account = many
    plan_id = approved(shop, sync, account)
    spent = account.connection.model_copy(
        update={"budget": account.connection.budget.model_copy(update={"calls": shop.journal.usage()[0].calls})}
    )
    report = held_back(shop, sync, replace(account, connection=spent))
    assert [finding.guard for finding in tripped(report.findings)] == ["budget"]
    assert shop.journal.plan(plan_id).status is PlanStatus.APPROVED


class TestAskedFor:
    """A run that was asked for one plan sends that or nothing, also where no guard would hold another back."""

    @heavy
    def test_the_plan(self, many: tuple[Shop, Sync, Account]) -> None:
        shop, sync, account = many
        plan_id = approved(shop, sync, account)
        assert shop.run(sync, account, plan_id=plan_id).counts["deleted"] == 1

    @heavy
    def test_another_plan(self, many: tuple[Shop, Sync, Account]) -> None:
        shop, sync, account = many
        plan_id = approved(shop, sync, account)
        shop.build(f"select * replace (name || '!' as name) from ({FIVE})")
        assert look(shop, sync, account).goes_out
        report = held_back(shop, sync, account, plan_id=plan_id)
        assert "(1 delete, 4 upsert, now 5 upsert)" in why_not(report)
        assert shop.run(sync, account).counts["updated"] == 5

    @heavy
    def test_a_plan_that_is_not_approved(self, many: tuple[Shop, Sync, Account]) -> None:
        shop, sync, account = many
        shop.build(f"select * replace (name || '!' as name) from ({FIVE})")
        report = held_back(shop, sync, account, plan_id="0123456789abcdef")
        assert why_not(report) == "plan 0123456789abcdef is not approved any more"


@heavy
def test_rows_in_another_order_are_the_same_plan(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = people(), sink(sandbox.url)
    found = []
    for order in ("id", "id desc", "hash(id)"):
        shop.build(f"{PEOPLE.format(5_000)} order by {order}")
        found.append(look(shop, sync, account).plan_id)
    assert len(set(found)) == 1


@heavy
@pytest.mark.parametrize(
    ("kind", "one", "other"),
    first_rows(
        [
            ("varchar", "'a', 'b'", "'b', 'a'"),
            ("varchar", "'', null", "null, ''"),
            ("varchar[]", "[], null", "null, []"),
            ("varchar[]", "[null], null", "[], null"),
            ("struct(a int)", "{'a': null}, null", "null, {'a': null}"),
        ],
        2,
    ),
)
def test_values_that_look_alike_are_different_plans(
    shop: Shop, sandbox: Sandbox, kind: str, one: str, other: str
) -> None:
    sync, account = people(mapping={"id": "id", "x": "x", "y": "y"}), sink(sandbox.url)
    found = []
    for values in (one, other):
        shop.build(f"select 1 as id, x::{kind} as x, y::{kind} as y from (values ({values})) v(x, y)")
        found.append(look(shop, sync, account).plan_id)
    assert found[0] != found[1]


def test_two_rows_that_swap_a_value_are_another_plan(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = people(), sink(sandbox.url)
    shop.build("select * from (values (1, 'a'), (2, 'b')) v(id, name)")
    before = look(shop, sync, account).plan_id
    shop.build("select * from (values (1, 'b'), (2, 'a')) v(id, name)")
    assert look(shop, sync, account).plan_id != before
