"""What tells for which target a manifest was parsed, and what leaves it open."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.dbt.profile import Profile, read_profile
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.dbt.target import Parsed, parsed_for

FOR_IT, ANOTHER, UNKNOWN = Parsed.FOR_IT, Parsed.FOR_ANOTHER, Parsed.UNKNOWN


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    for name in ("DBT_TARGET", "DBT_PROFILE", "DBT_PROFILES_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    output = {"type": "duckdb", "path": "w.duckdb", "schema": "prod"}
    (tmp_path / "profiles.yml").write_text(json.dumps({"shop": {"target": "prod", "outputs": {"prod": output}}}))
    return read_profile(DbtSettings(tmp_path))


def node(schema: str, **more: Any) -> dict[str, Any]:
    place = {
        "resource_type": "model",
        "package_name": "shop",
        "database": "w",
        "schema": schema,
        "raw_code": "select 1",
    }
    return {**place, "config": {}, **more}


def own(schema: str, **more: Any) -> dict[str, Any]:
    """With a schema of its own, `marts`."""
    return node(schema, config={"schema": "marts"}, unrendered_config={"schema": "marts"}, **more)


def macro(text: str, calls: tuple[str, ...] = (), package: str = "shop") -> dict[str, Any]:
    return {
        "name": "generate_schema_name",
        "package_name": package,
        "macro_sql": text,
        "depends_on": {"macros": list(calls)},
    }


OWN_MACRO = macro("{{ (custom_schema_name or target.schema) | trim }}")
CASES: Mapping[str, tuple[list[Any], list[Any], Parsed]] = {
    "where the target says": ([node("prod")], [], FOR_IT),
    "in any case": ([node("PROD")], [], FOR_IT),
    "elsewhere": ([node("prod"), node("dev")], [], ANOTHER),
    "in another database": ([node("prod", database="dev")], [], ANOTHER),
    "of a package, which has settings of its own": ([node("x", package_name="p"), node("prod")], [], FOR_IT),
    "of packages alone": ([node("prod", package_name="p")], [], UNKNOWN),
    "a schema below the target's": ([own("prod_marts")], [], FOR_IT),
    "a schema below another's": ([own("dev_marts")], [], UNKNOWN),
    "a schema below another's, beside one that tells": ([own("prod_marts"), node("dev")], [], ANOTHER),
    "a schema that is rendered": (
        [node("prod"), node("x", config={"schema": "x"}, unrendered_config={"schema": "{{ target.name }}"})],
        [],
        UNKNOWN,
    ),
    "an alias in the code that asks for the target": (
        [node("prod"), node("prod", config={"alias": "a"}, raw_code="{{ config(alias=target.name) }}")],
        [],
        UNKNOWN,
    ),
    "a schema of its own, and code that asks a variable": (
        [own("prod_marts", raw_code="select '{{ var('x') }}'")],
        [],
        FOR_IT,
    ),
    "YAML that is not there": ([node("prod"), own("prod_marts", patch_path="shop://models/x.yml")], [], UNKNOWN),
    "nothing": ([], [], UNKNOWN),
    "a macro without the target's schema before": ([own("marts")], [OWN_MACRO], FOR_IT),
    "the same, elsewhere": ([own("marts"), node("dev")], [OWN_MACRO], ANOTHER),
    "a macro by the target's name": ([node("prod")], [macro("{{ target.name }}")], UNKNOWN),
    "a macro that decides by the schema": (
        [own("marts")],
        [macro("{% if target.schema == 'prod' %}{{ custom_schema_name }}{% endif %}")],
        UNKNOWN,
    ),
    "a macro that decides in a line": (
        [own("marts")],
        [macro("{{ custom_schema_name if target.schema == 'prod' else target.schema }}")],
        UNKNOWN,
    ),
    "a macro that calls another": ([node("prod")], [macro("{{ other() }}", ("macro.shop.other",))], UNKNOWN),
    "dbt's own by the target's name": (
        [node("prod")],
        [macro("{{ generate_schema_name_for_env(custom_schema_name) }}", ("macro.dbt.generate_schema_name_for_env",))],
        UNKNOWN,
    ),
    "a macro of dbt": ([node("prod")], [macro("{{ target.name }}", package="dbt_duckdb")], FOR_IT),
    "a macro of the environment": ([node("prod")], [macro("{{ env_var('X') }}")], UNKNOWN),
}


@pytest.mark.parametrize("case", CASES)
def test_what_places_tell(profile: Profile, tmp_path: Path, case: str) -> None:
    nodes, macros, expected = CASES[case]
    found = {
        "metadata": {"project_name": "shop", "adapter_type": "duckdb", "invocation_id": "1"},
        "nodes": {str(number): each for number, each in enumerate(nodes)},
        "macros": {str(number): each for number, each in enumerate(macros)},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(found))
    assert parsed_for(tmp_path / "manifest.json", profile, tmp_path) is expected


@pytest.mark.parametrize(
    ("schema", "invocation", "args", "expected"),
    [
        ("own", "1", {"target": "prod"}, FOR_IT),
        ("own", "1", {"target": "dev"}, ANOTHER),
        ("own", "1", {}, UNKNOWN),
        ("own", "1", {"target": "prod", "profile": "other"}, ANOTHER),
        ("own", "2", {"target": "prod"}, UNKNOWN),
        ("dev", "1", {"target": "prod"}, ANOTHER),
    ],
)
def test_what_results_tell(
    profile: Profile, tmp_path: Path, schema: str, invocation: str, args: Mapping[str, Any], expected: Parsed
) -> None:
    """If the same command wrote them, and the target is still where it was."""
    nodes = {
        "1": node("x", config={"alias": "y"}, raw_code="{{ config(target) }}") if schema == "own" else node(schema)
    }
    found = {"metadata": {"project_name": "shop", "invocation_id": "1"}, "nodes": nodes}
    (tmp_path / "manifest.json").write_text(json.dumps(found))
    said = {"metadata": {"invocation_id": invocation}, "args": args, "results": []}
    (tmp_path / "run_results.json").write_text(json.dumps(said))
    assert parsed_for(tmp_path / "manifest.json", profile, tmp_path) is expected
