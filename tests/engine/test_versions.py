"""A sync's file changes: what only adds goes on, what gives another meaning to what was sent needs a version."""

from dataclasses import replace
from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import SINK, Shop, sink
from tests.engine.versioning import TEN, names, people, refused, whole_state
from tests.heavy import first, first_rows, heavy


@pytest.fixture
def ran(shop: Shop, sandbox: Sandbox) -> Shop:
    """Ten people are in the sink."""
    shop.build(TEN)
    shop.run(people(), sink(sandbox.url))
    return shop


BREAKS: dict[str, tuple[dict[str, Any], str]] = {
    "object": ({"object": "others"}, "- object: people before, others now"),
    "key": ({"primary_key": "other"}, "- primary_key: id (VARCHAR) before, other (VARCHAR) now"),
    "type of the key": ({"primary_key": "number"}, "- primary_key: id (VARCHAR) before, number (INTEGER) now"),
    "case of the key": (
        {"options": {**SINK, "fold_case": True}},
        "- primary_key: id (VARCHAR) before, id (VARCHAR), in any case now",
    ),
    "external id": ({"external_id": "name"}, "- external_id: id before, name now"),
    "mode": ({"sync_mode": "append"}, "- sync_mode: mirror before, append now"),
    "field removed": ({"mapping": {"id": "id"}}, "- mapping.name: column name before, not mapped now"),
    "other column": (
        {"mapping": {"id": "id", "name": "other"}},
        "- mapping.name: column name before, column other now",
    ),
    "constant": (
        {"mapping": {"id": "id", "name": {"constant": "x"}}},
        '- mapping.name: column name before, constant "x" now',
    ),
    "transform": (
        {"mapping": {"id": "id", "name": {"column": "name", "transform": "sha256_name"}}},
        "- mapping.name: column name before, sha256_name of column name now",
    ),
}


@pytest.mark.parametrize("change", first(BREAKS))
def test_a_change_that_breaks_is_refused_until_a_version_says_how(ran: Shop, sandbox: Sandbox, change: str) -> None:
    changes, says = BREAKS[change]
    said = refused(ran, sandbox, people(**changes))
    assert says in said.splitlines()
    assert "raise `version` to 2 and say what becomes of the records" in said
    for way in ("adopt", "resend", "restart"):
        assert f"- `cutover: {way}`: " in said
    asked = refused(ran, sandbox, people(**changes, version=2))
    assert says in asked.splitlines()
    assert "How does it begin? Say what becomes of the records of version 1:" in asked
    assert ran.run(people(), sink(sandbox.url)).change_set == 0


def test_every_change_is_named_at_once(ran: Shop, sandbox: Sandbox) -> None:
    said = refused(ran, sandbox, people(object="others", sync_mode="incremental", mapping={"id": "id"}))
    assert [line for line in said.splitlines() if line.startswith("- ") and "`" not in line] == [
        "- object: people before, others now",
        "- sync_mode: mirror before, incremental now",
        "- mapping.name: column name before, not mapped now",
    ]


@heavy
@pytest.mark.parametrize(
    ("version", "says"),
    first_rows([(2, "- model_version: 1 before, 2 now"), ("beta", "- model_version: 1 before, beta now")]),
)
def test_another_version_of_the_dbt_model(ran: Shop, sandbox: Sandbox, version: int | str, says: str) -> None:
    model = ran.models["people"]
    ran.models["people"] = replace(model, version=1)  # dbt calls a model that gets versions the first of them
    assert ran.run(people(), sink(sandbox.url)).change_set == 0
    ran.models["people"] = replace(model, version=version)
    assert says in refused(ran, sandbox, people())
    ran.run(people(version=2, cutover="resend"), sink(sandbox.url))


@heavy
def test_another_model(ran: Shop, sandbox: Sandbox) -> None:
    ran.build(TEN, "customers")
    assert "- model: people before, customers now" in refused(ran, sandbox, people(model="customers"))


@heavy
def test_another_destination(ran: Shop, sandbox: Sandbox) -> None:
    assert "- destination: sink before, crm now" in refused(ran, sandbox, people(destination="crm"))


@pytest.mark.parametrize(
    "changes",
    first(
        [
            {"guards": {"max_added": {"rows": 5}}},
            {"description": "Another", "owners": ["team:sales"], "tags": {"a": "b"}, "cost": {"per_call": 1}},
            {"schedule": "0 6 * * *", "max_failed": {"rows": 1}},
            {"mapping": {"id": "id", "name": {"column": "name", "null": "keep"}}},
            {"mapping": {"id": "id", "NAME": "Name"}},
            {"mapping": {"ID": "id", "name": "name"}},
            {"mapping": {"name": "name", "id": "id"}},
            {"primary_key": "ID"},
            {"external_id": "ID"},
        ]
    ),
    ids=repr,
)
def test_what_changes_no_meaning_goes_through_and_sends_nothing(
    ran: Shop, sandbox: Sandbox, changes: dict[str, Any]
) -> None:
    assert ran.run(people(**changes), sink(sandbox.url)).change_set == 0


@heavy
def test_a_field_whose_case_changes_is_still_owed(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    shop.run(people(), sink(sandbox.url))
    sandbox.fault("refuse_rows", percent=100)
    shop.run(people(mapping={"id": "id", "name": "name", "more": "other"}), sink(sandbox.url))
    sandbox.faults.clear()
    renamed = people(mapping={"id": "id", "name": "name", "More": "other"})
    assert shop.run(renamed, sink(sandbox.url)).counts["updated"] == 10
    assert {entry.values["More"] for entry in sandbox.rest.tables["people"].live()} == {f"o{i}" for i in range(10)}


# A new field goes out alone


def written(crm: Crm, before: dict[str, Any]) -> set[str]:
    """Fields that a request named since `before`, of any record."""
    return {
        field
        for key, entry in crm.records.items()
        for field, when in entry.written.items()
        if before[key].get(field) != when
    }


def noted(crm: Crm) -> dict[str, Any]:
    return {key: dict(entry.written) for key, entry in crm.records.items()}


@pytest.mark.parametrize("images", first(["destination", "synced"]))
@pytest.mark.parametrize("vendor", first(["salesforce", "hubspot"]))
def test_a_new_field_goes_out_alone(shop: Shop, sandbox: Sandbox, vendor: str, images: str) -> None:
    """Salesforce and, with a unique property, HubSpot leave fields alone that a row does not name."""
    crm = a_crm(vendor, sandbox)
    if vendor == "hubspot":
        crm = replace(crm, key="external_id")
    shop.build(PEOPLE.format(3))
    sync = crm.sync(before_images=images, primary_key="id")
    shop.run(without(sync, crm.phone), crm.account)
    before = noted(crm)
    assert shop.run(sync, crm.account).counts["updated"] == 3
    assert written(crm, before) - {crm.key} == {crm.phone}
    assert set(crm.values(crm.phone).values()) == {"+1 555 1000", "+1 555 1001", "+1 555 1002"}
    assert shop.run(sync, crm.account).change_set == 0


@heavy
def test_hubspot_by_email_takes_all_fields(shop: Shop, sandbox: Sandbox) -> None:
    """Its guide: partial upserts are not supported for contacts that are matched by email."""
    shop.build(PEOPLE.format(3))
    hubspot = a_crm("hubspot", sandbox)
    shop.run(without(hubspot.sync(), hubspot.phone), hubspot.account)
    before = noted(hubspot)
    assert shop.run(hubspot.sync(), hubspot.account).counts["updated"] == 3
    assert written(hubspot, before) >= {hubspot.name, hubspot.phone, hubspot.company}


def without(sync: Sync, field: str) -> Sync:
    return sync.model_copy(update={"mapping": {name: each for name, each in sync.mapping.items() if name != field}})


# Which version


def test_a_version_that_was_sent_is_not_taken_back(ran: Shop, sandbox: Sandbox) -> None:
    ran.run(people(version=3, cutover="resend"), sink(sandbox.url))
    said = refused(ran, sandbox, people(version=2))
    assert "`version` is 2, and version 3 was sent since it was begun with `cutover: resend`" in said
    assert "write `version: 3`, or begin what the file says now as version 4, with a `cutover`" in said


def test_raised_without_a_change(ran: Shop, sandbox: Sandbox) -> None:
    """To send everything again."""
    assert "version 2 begins anew. How does it begin?" in refused(ran, sandbox, people(version=2))
    report = ran.run(people(version=2, cutover="resend"), sink(sandbox.url))
    assert (report.counts["changed"], report.counts["updated"]) == (10, 10)


@heavy
def test_a_cutover_that_is_done_may_stay_in_the_file_or_go(ran: Shop, sandbox: Sandbox) -> None:
    ran.run(people(version=2, cutover="resend"), sink(sandbox.url))
    for sync in (people(version=2, cutover="resend"), people(version=2)):
        report = ran.run(sync, sink(sandbox.url))
        assert (report.change_set, report.begun) == (0, None)


@heavy
@pytest.mark.parametrize("changes", first([{"cutover": "restart"}, {"version": 2, "cutover": "restart"}]), ids=repr)
def test_another_cutover_for_a_version_that_was_sent(ran: Shop, sandbox: Sandbox, changes: dict[str, Any]) -> None:
    if "version" in changes:
        ran.run(people(version=2, cutover="resend"), sink(sandbox.url))
    said = refused(ran, sandbox, people(**changes))
    assert "so `cutover: restart` begins nothing. Take it out, or raise `version` to " in said


@heavy
@pytest.mark.parametrize("mode", first(["insert_only", "append"]))
def test_a_mode_that_sends_no_row_twice_cannot_resend(ran: Shop, sandbox: Sandbox, mode: str) -> None:
    said = refused(ran, sandbox, people(version=2, cutover="resend", sync_mode=mode))
    assert f"`cutover: resend` sends rows of version 1 again, and `{mode}` never does that." in said


def test_a_new_sync_may_begin_at_any_version(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    assert shop.run(people(version=7, cutover="resend"), sink(sandbox.url)).counts["created"] == 10
    assert shop.run(people(version=7), sink(sandbox.url)).change_set == 0


def test_before_the_first_row_was_sent_anything_may_change(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(TEN)
    guarded = people(guards={"max_added": {"rows": 0}})
    assert shop.run(guarded, sink(sandbox.url)).status is RunStatus.GUARDED
    other = people(primary_key="number", external_id="id", object="others", mapping={"name": "other"})
    assert shop.run(other, sink(sandbox.url)).counts["created"] == 10
    assert names(sandbox, "others")["3"] == "o3"


@heavy
def test_a_field_that_was_added_and_never_sent_may_go_again(ran: Shop, sandbox: Sandbox) -> None:
    guarded = people(mapping={"id": "id", "name": "name", "more": "other"}, guards={"max_changed": {"rows": 0}})
    assert ran.run(guarded, sink(sandbox.url)).status is RunStatus.GUARDED
    assert ran.run(people(), sink(sandbox.url)).change_set == 0


@heavy
def test_a_version_that_a_guard_stopped_can_be_taken_back(ran: Shop, sandbox: Sandbox) -> None:
    before = whole_state(ran)
    guards = {"max_changed": {"rows": 0}, "max_added": {"rows": 0}, "row_count": {}}
    for cutover in ("resend", "restart"):  # the other way is another beginning
        report = ran.run(people(version=2, cutover=cutover, guards=guards), sink(sandbox.url))
        assert report.status is RunStatus.GUARDED
        assert str(report.begun).startswith(f"version 2 begins with `cutover: {cutover}`")
    assert preview(people(), ran.environment, sink(sandbox.url)).plan.unchanged == 10
    assert ran.run(people(), sink(sandbox.url)).change_set == 0
    after = [(table, rows) for table, rows in whole_state(ran) if table != "versions"]
    assert after == [(table, rows) for table, rows in before if table != "versions"]


@heavy
def test_a_version_that_a_guard_stopped_goes_on(ran: Shop, sandbox: Sandbox) -> None:
    """The plan that waited is planned again, under the same id, and says again what it begins."""
    spec: dict[str, Any] = {"version": 2, "cutover": "resend", "approval": "always"}
    first = ran.run(people(**spec), sink(sandbox.url))
    assert (first.status, len(names(sandbox))) == (RunStatus.GUARDED, 10)
    ran.journal.approve(str(first.plan_id), "Kim", "looked at it")
    second = ran.run(people(**spec), sink(sandbox.url))
    assert (second.plan_id, second.begun) == (first.plan_id, first.begun)
    assert second.counts["updated"] == 10
