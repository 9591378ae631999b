"""What Dagster keeps of rows whose e-mail addresses and names dbt marks as personal data."""

import json

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
