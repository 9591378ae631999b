"""A plan that waits, in Dagster: what a person finds, and how the launchpad sends exactly it."""

import json
import re
from typing import Any

import dagster as dg
import pytest
import yaml

from reverse_etl_assets.journal.records import PlanStatus
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.small_project import CONTACTS, Ran, SmallProject, stored

SIXTY = "select 'u' || i || '@example.com' as email, 'n' || i as name from range(60) r(i)"


def launch(small: SmallProject, asset: dg.AssetsDefinition, config: Any) -> Ran:
    """As from the launchpad."""
    result = dg.materialize([asset], instance=small.instance, raise_on_error=False, run_config=config)
    return Ran(result.success, result.all_events, result.run_id)


def config(asset: dg.AssetsDefinition, **values: str) -> Any:
    return {"ops": {asset.op.name: {"config": values}}}


def observed(ran: Ran) -> dict[str, Any]:
    (event,) = [event for event in ran.events if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION]
    return {name: value.value for name, value in event.asset_observation_data.asset_observation.metadata.items()}


def contacts(sandbox: Sandbox) -> int:
    return len(sandbox.hubspot.tables["contacts"].live())


@pytest.fixture
def asset(small: SmallProject) -> dg.AssetsDefinition:
    """A hundred contacts, of which forty would be deleted."""
    asset = small.asset()
    assert small.run(asset).success
    small.build(SIXTY)
    return asset


def waiting(small: SmallProject, asset: dg.AssetsDefinition) -> str:
    ran = small.run(asset)
    assert not ran.success
    return str(observed(ran)["plan id"])


@heavy
def test_a_run_that_is_held_back_says_all_that_a_decision_needs(
    small: SmallProject, asset: dg.AssetsDefinition, sandbox: Sandbox
) -> None:
    ran = small.run(asset)
    in_events, in_failure = observed(ran), ran.failure.metadata
    assert list(in_events)[:2] == list(in_failure)[:2] == ["plan id", "plan"], "where a person sees them first"
    plan_id = in_events["plan id"]
    assert f"plan {plan_id} waits for a decision" in str(ran.failure.description)
    assert f"plan {plan_id} waits for a decision" in ran.checks["guards"].description
    said = in_failure["plan"].value
    assert said == in_events["plan"]
    assert "40 delete in 1 request\n" in said
    assert "### 5 of 40 rows" in said
    assert f"reverse-etl approve {plan_id} " in said
    rows = {row.data["guard"]: row.data["result"] for row in in_events["guards"].records}
    assert rows["max_removed"] == "tripped"
    assert contacts(sandbox) == 100


def test_the_config_that_is_shown_sends_exactly_that_plan(
    small: SmallProject, asset: dg.AssetsDefinition, sandbox: Sandbox
) -> None:
    said = small.run(asset).failure.metadata["plan"].value
    shown = re.search(r"```yaml\n(.*?)```", said, re.DOTALL)
    assert shown
    ran = launch(small, asset, yaml.safe_load(shown[1]))
    assert ran.success
    assert contacts(sandbox) == 60
    (event,) = [entry for entry in small.project.journal.control_log() if entry.action == "approve"]
    assert ran.metadata["plan id"] == event.scope.removeprefix("plan:")
    assert (event.who, event.why) == (f"Dagster run {ran.run_id[:8]}", "...")


@heavy
def test_a_plan_that_is_approved_already_is_sent(
    small: SmallProject, asset: dg.AssetsDefinition, sandbox: Sandbox
) -> None:
    plan_id = waiting(small, asset)
    small.project.journal.approve(plan_id, "Kim", "They have left")
    assert launch(small, asset, config(asset, approve=plan_id, why="x")).success
    assert small.project.journal.plan(plan_id).who == "Kim"
    assert contacts(sandbox) == 60


@heavy
def test_once_the_data_have_changed_nothing_is_sent(
    small: SmallProject, asset: dg.AssetsDefinition, sandbox: Sandbox
) -> None:
    """Also if no guard would hold back what is planned now."""
    plan_id = waiting(small, asset)
    small.build(SIXTY.replace("range(60)", "range(99)"))
    ran = launch(small, asset, config(asset, approve=plan_id, why="x", who="Kim"))
    assert f"the approval of plan {plan_id} does not hold: the data changed" in str(ran.failure.description)
    assert ran.guards["approval"]["result"] == "tripped"
    assert contacts(sandbox) == 100
    assert observed(ran)["plan id"] != plan_id
    assert small.run(asset).success
    assert contacts(sandbox) == 99


@heavy
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"approve": "0123456789abcdef", "why": "x"}, "there is no plan 0123456789abcdef; waiting now: {}"),
        ({"approve": "{}"}, "say `why` you approve"),
    ],
)
def test_mistakes(
    small: SmallProject, asset: dg.AssetsDefinition, sandbox: Sandbox, values: dict[str, str], says: str
) -> None:
    plan_id = waiting(small, asset)
    ran = launch(small, asset, config(asset, **{name: value.format(plan_id) for name, value in values.items()}))
    assert says.format(plan_id) in str(ran.failure.description)
    assert ran.checks["delivery"].description == "not judged: the run broke off"
    assert small.project.journal.plan(plan_id).status is PlanStatus.WAITING
    assert contacts(sandbox) == 100


@heavy
def test_a_plan_of_another_sync(small: SmallProject, asset: dg.AssetsDefinition) -> None:
    plan_id = waiting(small, asset)
    other = small.asset(object="companies", external_id="domain", mapping={"domain": "email"})
    ran = launch(small, other, config(other, approve=plan_id, why="x"))
    assert f"plan {plan_id} is of " in str(ran.failure.description)
    assert small.project.journal.plan(plan_id).status is PlanStatus.WAITING


@heavy
def test_personal_data_is_masked(small: SmallProject, sandbox: Sandbox) -> None:
    manifest = small.dbt_folder / "target" / "manifest.json"
    found = json.loads(manifest.read_text())
    allow = {"email": "They are matched by it.", "name": "They are greeted by it."}
    for column in allow:
        found["nodes"]["model.shop.people"]["columns"][column]["meta"] = {"pii": column}
    manifest.write_text(json.dumps(found))
    mapping = {"email": "email", "firstname": {"column": "name", "wins": "unless_edited"}}
    asset = small.asset(allow_pii=allow, mapping=mapping)
    small.build("select 'zoe' || i || '@shop.example' as email, 'Zoe-Maria' as name from range(20) r(i)")
    assert small.run(asset).success
    for record in sandbox.hubspot.tables["contacts"].live():
        sandbox.edit("hubspot", "contacts", record.id, {"firstname": "Zoltan"})
    small.build("select 'zoe' || i || '@shop.example' as email, 'Zoe-Anna' as name from range(20) r(i)")
    ran, held_back = small.run(asset), None
    conflicts = ran.metadata["where field rules met another value"].records
    assert conflicts[0].data["theirs"] == conflicts[0].data["ours"] == "Z***"
    small.build("select 'zoe' || i || '@shop.example' as email, 'Zoe-Eva' as name from range(2) r(i)")
    held_back = small.run(asset)
    assert "z***@***" in held_back.failure.metadata["plan"].value
    events = "\n".join(stored(small, ran) + stored(small, held_back)).lower()
    for secret in ("zoe1", "zoe-", "zoltan", "shop.example"):
        assert secret not in events


@heavy
def test_the_figures_of_a_run(small: SmallProject, sandbox: Sandbox) -> None:
    mapping = {"email": "email", "firstname": {"column": "name", "wins": "unless_edited"}}
    asset = small.asset(mapping=mapping, verify={"sample": 0})
    first = small.run(asset).metadata
    assert re.fullmatch("[0-9a-f]{16}", first["plan id"])
    assert first["before-images"] == "destination"
    assert first.keys().isdisjoint(("conflicts", "kept", "same", "edited"))
    assert (first["calls foreseen"], first["calls"]) == (2, 3), "and one looks at the properties"
    assert first["calls today"] == 3
    for record in list(sandbox.hubspot.tables["contacts"].live())[:30]:
        sandbox.edit("hubspot", "contacts", record.id, {"firstname": "Zoe"})
    small.build("select 'u' || i || '@example.com' as email, 'm' || i as name from range(100) r(i)")
    figures = small.run(asset).metadata
    assert (figures["conflicts"], figures["kept"], figures["updated"]) == (30, 30, 70)
    assert (figures["calls foreseen"], figures["calls"], figures["calls today"]) == (2, 2, 5)
    rows = [row.data for row in figures["where field rules met another value"].records]
    assert len(rows) == 20
    assert (rows[0]["rule"], rows[0]["theirs"], rows[0]["winner"]) == ("unless_edited", "Z***", "destination")
    assert rows[0]["ours"] == "***"


@heavy
def test_a_destination_that_cannot_be_read_or_need_not(small: SmallProject) -> None:
    assert small.run(small.asset(before_images="synced")).metadata["before-images"] == "synced"


@heavy
def test_a_plan_is_small_whatever_is_in_it(small: SmallProject) -> None:
    """Dagster keeps each event; a character may take twelve bytes of it."""
    bomb = "'|`é\U0001f4a5'"
    small.build(f"select 'u' || i || repeat({bomb}, 200) as email, repeat({bomb}, 200) as name from range(50) r(i)")
    names = {f"p{'é' * 60}{n}": "name" for n in range(60)}
    fields = {"every_field": {"max_changed": {"rows": 0}}}
    asset = small.asset(approval="always", mapping={**CONTACTS["mapping"], **names}, guards=fields)
    ran = small.run(asset)
    assert "plan" in ran.failure.metadata
    assert 10_000 < max(len(text) for text in stored(small, ran)) < 200_000
