"""What Dagster keeps of rows whose e-mail addresses and names dbt marks as personal data."""

import json
from dataclasses import replace

from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.small_project import SmallProject, stored

ALLOW = {"email": "They are matched by it.", "name": "They are greeted by it."}


def test_no_value_of_a_row_is_in_dagsters_events(small: SmallProject) -> None:
    manifest = small.dbt_folder / "target" / "manifest.json"
    found = json.loads(manifest.read_text())
    for column in ALLOW:
        found["nodes"]["model.shop.people"]["columns"][column]["meta"] = {"pii": column}
    manifest.write_text(json.dumps(found))
    small.build(
        "select 'zoe' || i || '@shop.example' as email, 'Zoe-Maria' as name from range(20) r(i)"
        " union all select 'zoltan at shop', 'Zoltan-Peter'"
    )
    ran = small.run(small.asset(allow_pii=ALLOW, max_failed={"rows": 0}))
    assert ran.failure is not None
    (group,) = ran.observed["why rows did not arrive"].records
    assert group.data["message"] == "Email address *** is invalid"
    events = "\n".join(stored(small, ran)).lower()
    assert "z***@***" in events
    for secret in ("zoe1", "zoe-maria", "zoltan", "shop.example", "at shop"):
        assert secret not in events


PEOPLE = "select 'p' || i || '@shop.example' as email, '{name}-' || i as name, '{city}' as city from range(20) r(i)"
MAPPED = {"email": "email", "firstname": "name", "city": "city"}


def lived(small: SmallProject, sandbox: Sandbox) -> str:
    """What Dagster keeps of runs with a refused row, lost writes, a rule that met another value, and a plan that waits.

    Nobody has marked a column."""
    spec = {
        "mapping": {**MAPPED, "city": {"column": "city", "wins": "unless_edited"}},
        "verify": {"sample": 20},
        "guards": {"max_changed": {"rows": 12}, "row_count": {}},
        "max_failed": {"rows": 0},
    }
    manifest = small.dbt_folder / "target" / "manifest.json"
    found = json.loads(manifest.read_text())
    found["nodes"]["model.shop.people"]["columns"]["city"] = {"name": "city"}
    manifest.write_text(json.dumps(found))
    asset = small.asset(**spec)
    small.build(PEOPLE.format(name="Zoe", city="Zagreb") + " union all select 'no address', 'Zoe', 'Zagreb'")
    sandbox.fault("lose_writes", vendor="hubspot", path="batch", percent=30)
    ran = [small.run(asset)]
    sandbox.faults.clear()
    for entry in sandbox.hubspot.tables["contacts"].live():
        sandbox.edit("hubspot", "contacts", entry.id, {"city": "Zadar"})
    small.build(PEOPLE.format(name="Zoe", city="Zagreb").replace("'Zagreb'", "if(i < 10, 'Zermatt', 'Zagreb')"))
    ran.append(small.run(asset))
    small.build(PEOPLE.format(name="Zora", city="Zermatt"))
    ran.append(small.run(asset))
    return "\n".join(line for each in ran for line in stored(small, each))


WORDS = ("Zoe-", "Zora-", "Zagreb", "Zermatt", "Zadar", "address no address")


@heavy
def test_values_that_nobody_marked_are_in_no_event(small: SmallProject, sandbox: Sandbox) -> None:
    events = lived(small, sandbox)
    assert [word for word in WORDS if word in events] == []
    assert "where field rules met another value" in events
    assert "### Fields that change" in events
    assert "Email address *** is invalid" in events


@heavy
def test_a_setting_shows_them(small: SmallProject, sandbox: Sandbox) -> None:
    small.__dict__["project"] = replace(small.project, values_in_events=True)
    events = lived(small, sandbox)
    assert [word for word in WORDS if word not in events] == []
