"""A sync with a query of its own, in Dagster: downstream of what it reads, and stopped by their tests."""

import yaml

from tests.orchestration.small_project import CONTACTS, MODEL_KEY, PEOPLE, SmallProject


def test_a_query_is_downstream_of_the_models_that_it_reads(small: SmallProject) -> None:
    spec = {**CONTACTS, "query": "select email, upper(name) as name from {{ ref('people') }}"}
    del spec["model"]
    (small.syncs_folder / "queried.yml").write_text(yaml.safe_dump(spec))
    loaded = small.loaded().syncs["queried"]
    assert loaded.models == {PEOPLE: MODEL_KEY}
    assert [dep.asset_key for dep in loaded.spec.deps] == [MODEL_KEY]
    asset = small.asset_of(loaded)
    small.build("select 'ann@x.org' as email, 'Ann' as name")
    ran = small.run(asset)
    assert ran.success
    assert "dbt does not test a query" in ran.guards["model_tests"]["why"]
    small.dbt_said({"test.shop.unique_people_email": "fail"})
    stopped = small.run(asset)
    assert not stopped.success
    assert "unique_people_email of people" in stopped.guards["model_tests"]["why"]
