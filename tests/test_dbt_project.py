"""The dbt project: it builds on generated data, keeps its rules, and lets bad rows through with a warning."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from demo.data import TODAY, change, generate, plant_bad_rows, remove
from tests.dbt_shell import dbt_succeeds
from tests.heavy import heavy
from tests.once import Once

PROJECT = Path(__file__).parents[1] / "dbt_project"
MARTS = (
    "customer_traits",
    "customer_segments",
    "at_risk_customers",
    "marketing_audience",
    "enriched_leads",
    "support_users",
    "billing_customers",
    "billable_usage",
    "product_usage",
    "first_day",
)


@dataclass(frozen=True)
class Warehouse:
    """A warehouse file, and what dbt wrote beside it."""

    file: Path

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file), read_only=True) as con:
            return con.sql(query).fetchall()

    def dbt(self, *command: str) -> None:
        folder = self.file.parent
        places = [
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT),
            "--target-path",
            str(folder / "target"),
        ]
        environment = os.environ | {"REVERSE_ETL_WAREHOUSE": str(self.file)}
        dbt_succeeds("--log-path", str(folder / "logs"), *command, *map(str, places), cwd=folder, env=environment)

    def artifact(self, name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.file.parent / "target" / name).read_text())
        return loaded

    def statuses(self) -> dict[str, str]:
        return {
            result["unique_id"].split(".")[2]: result["status"]
            for result in self.artifact("run_results.json")["results"]
        }


@dataclass(frozen=True)
class Lead:
    """A hand-made lead, and the score it must get."""

    views: dict[int, int]  # days ago: views
    trial_days_left: int | None
    score: int
    grade: str


LEADS = {
    "nothing": Lead({}, None, 0, "cold"),
    "just cold": Lead({1: 9}, None, 36, "cold"),
    "just warm": Lead({1: 4, 2: 6}, None, 40, "warm"),
    "views of the 30th day count": Lead({30: 2}, None, 8, "cold"),
    "views of the 31st do not": Lead({31: 2}, None, 0, "cold"),
    "at most 60 for views": Lead({1: 100}, None, 60, "warm"),
    "trial over": Lead({}, -1, 10, "cold"),
    "last day of the trial": Lead({}, 0, 40, "warm"),
    "3 days left": Lead({}, 3, 40, "warm"),
    "4 days left": Lead({}, 4, 30, "cold"),
    "7 days left": Lead({}, 7, 30, "cold"),
    "8 days left": Lead({}, 8, 20, "cold"),
    "just not hot": Lead({1: 9}, 7, 66, "warm"),
    "just hot": Lead({1: 10}, 7, 70, "hot"),
    "all of it": Lead({1: 15}, 2, 100, "hot"),
}


@dataclass(frozen=True)
class Customer:
    """A hand-made customer, and the segment it must be in. Days count back from today."""

    plan: str
    signed_up: int
    orders: dict[int, int]  # days ago: amount
    churn_risk: float
    segment: str
    since: int


CUSTOMERS = {
    "new": Customer("free", 29, {}, 0.27, "new", 29),
    "no longer new": Customer("free", 30, {}, 0.27, "regular", 0),
    "dormant": Customer("enterprise", 181, {}, 0.65, "dormant", 0),
    "not yet dormant": Customer("enterprise", 180, {}, 0.65, "regular", 150),
    "champion": Customer("growth", 400, {300: 499, 48: 1}, 0.20, "champion", 48),
    "too little for a champion": Customer("growth", 400, {300: 498, 48: 1}, 0.20, "regular", 48),
    "at risk since today": Customer("growth", 400, {144: 500}, 0.60, "high_value_at_risk", 0),
    "not yet at risk": Customer("growth", 400, {143: 500}, 0.59, "regular", 143),
    "at risk for long": Customer("free", 900, {800: 700}, 0.98, "high_value_at_risk", 692),
    "never below 0.02": Customer("enterprise", 3, {}, 0.02, "new", 3),
}


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def insert_hand_made(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as con:
        for name, lead in LEADS.items():
            email = f"{name.replace(' ', '.')}@example.org"
            con.execute("INSERT INTO raw.leads VALUES (?, ?, 'Ana Maria Ruiz', NULL, 'event', ?)", [name, email, TODAY])
            for day, views in lead.views.items():
                view = [f"{name} {day}", name, ago(day), views]
                con.execute("INSERT INTO raw.page_views VALUES (?, ?, NULL, '/docs', ?, ?)", view)
            if lead.trial_days_left is not None:
                trial = [f"trial {name}", email.upper(), ago(-lead.trial_days_left)]
                con.execute(
                    """INSERT INTO raw.customers BY NAME
                    SELECT ? AS customer_id, ? AS email, 'free' AS plan, ?::DATE AS trial_ends_on,
                           TIMESTAMP '2026-06-01' AS signed_up_at, TIMESTAMP '2026-06-01' AS updated_at""",
                    trial,
                )
        for name, customer in CUSTOMERS.items():
            con.execute(
                """INSERT INTO raw.customers BY NAME
                SELECT $name AS customer_id, replace($name, ' ', '.') || '@example.edu' AS email, $plan AS plan,
                       $signed_up::TIMESTAMP AS signed_up_at, $signed_up::TIMESTAMP AS updated_at""",
                {"name": name, "plan": customer.plan, "signed_up": ago(customer.signed_up)},
            )
            for day, amount in customer.orders.items():
                order = [f"{name} {day}", name, amount, ago(day)]
                con.execute("INSERT INTO raw.orders VALUES (?, ?, ?, ?, 'completed')", order)
                refund = [f"{name} {day} refunded", name, ago(0)]
                con.execute("INSERT INTO raw.orders VALUES (?, ?, 9999, ?, 'refunded')", refund)


@pytest.fixture
def parsed(tmp_path: Path) -> tuple[Warehouse, list[str]]:
    """A parsed project without a database, and the DuckDB files that parsing left."""
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    warehouse.dbt("parse")
    return warehouse, [path.name for path in tmp_path.rglob("*.duckdb*")]


@pytest.fixture(scope="session")
def built(once: Once) -> Warehouse:
    def build(folder: Path) -> None:
        file = folder / "warehouse.duckdb"
        generate(file, 1000)
        insert_hand_made(file)
        Warehouse(file).dbt("build")

    return Warehouse(once("demo", build) / "warehouse.duckdb")


@dataclass(frozen=True)
class Spoiled:
    """A built warehouse with bad rows at its source and a few customers gone."""

    warehouse: Warehouse
    planted: dict[str, list[str]]
    removed: list[str]


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Spoiled:
    warehouse = Warehouse(tmp_path_factory.mktemp("spoiled") / "warehouse.duckdb")
    generate(warehouse.file, 300)
    removed = remove(warehouse.file, 5)
    planted = plant_bad_rows(warehouse.file)
    warehouse.dbt("build")
    return Spoiled(warehouse, planted, removed)


@heavy
def test_parse_needs_no_database(parsed: tuple[Warehouse, list[str]]) -> None:
    warehouse, files = parsed
    assert warehouse.artifact("manifest.json")["metadata"]["adapter_type"] == "duckdb"
    assert files == []


@heavy
def test_everything_passes_on_generated_data(built: Warehouse) -> None:
    statuses = built.statuses()
    assert set(statuses) >= set(MARTS)
    assert set(statuses.values()) == {"success", "pass"}


def test_every_customer_and_lead_is_in_the_marts(built: Warehouse) -> None:
    customers = built.rows("SELECT customer_id FROM raw.customers ORDER BY ALL")
    assert built.rows("SELECT customer_id FROM marts.customer_traits ORDER BY ALL") == customers
    assert built.rows("SELECT customer_id FROM marts.customer_segments ORDER BY ALL") == customers
    leads = built.rows("SELECT lead_id FROM raw.leads ORDER BY ALL")
    assert built.rows("SELECT lead_id FROM marts.enriched_leads ORDER BY ALL") == leads


@pytest.mark.parametrize("mart", MARTS)
def test_columns_are_described_and_typed_as_built(built: Warehouse, mart: str) -> None:
    model = built.artifact("manifest.json")["nodes"][f"model.demo_saas.{mart}"]
    assert model["config"]["contract"]["enforced"]
    assert model["config"]["meta"]["owner"]
    assert model["description"]
    documented = {name: column["data_type"].replace(" ", "") for name, column in model["columns"].items()}
    assert dict(built.rows(f"SELECT column_name, lower(column_type) FROM (DESCRIBE marts.{mart})")) == documented
    assert [name for name, column in model["columns"].items() if not column["description"]] == []


def test_every_model_and_column_has_a_description(built: Warehouse) -> None:
    manifest = built.artifact("manifest.json")
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")]
    assert len(nodes) == 7 + len(MARTS)
    for node in nodes:
        relation = f"{node['schema']}.{node['name']}"
        described = {name for name, column in node["columns"].items() if column["description"]}
        assert node["description"], relation
        assert described == {name for (name,) in built.rows(f"SELECT column_name FROM (DESCRIBE {relation})")}, relation


@pytest.mark.parametrize("name", LEADS)
def test_lead_score_and_grade(built: Warehouse, name: str) -> None:
    lead = LEADS[name]
    row = built.rows(
        f"SELECT lead_score, lead_grade, trial_days_left FROM marts.enriched_leads WHERE lead_id = '{name}'"
    )
    assert row == [(lead.score, lead.grade, lead.trial_days_left)]


def test_lead_names_split_at_the_first_space(built: Warehouse) -> None:
    names = built.rows("SELECT DISTINCT first_name, last_name FROM marts.enriched_leads WHERE lead_id = 'nothing'")
    assert names == [("Ana", "Maria Ruiz")]


@pytest.mark.parametrize("name", CUSTOMERS)
def test_segment_and_churn_risk(built: Warehouse, name: str) -> None:
    customer = CUSTOMERS[name]
    row = built.rows(
        f"""SELECT churn_risk, traits.segment, segments.segment, since, lifetime_value, orders_count
        FROM marts.customer_traits AS traits JOIN marts.customer_segments AS segments USING (customer_id)
        WHERE customer_id = '{name}'"""
    )
    spent = (sum(customer.orders.values()), len(customer.orders))
    assert row == [(customer.churn_risk, customer.segment, customer.segment, ago(customer.since), *spent)]


@heavy
def test_generated_data_fills_every_segment_grade_and_trend(built: Warehouse) -> None:
    generated = "SELECT DISTINCT segment FROM marts.customer_traits WHERE email LIKE '%@%.example.com' ORDER BY 1"
    assert [value for (value,) in built.rows(generated)] == [
        "champion",
        "dormant",
        "high_value_at_risk",
        "new",
        "regular",
    ]
    grades = "SELECT DISTINCT lead_grade FROM marts.enriched_leads WHERE lead_id LIKE 'L0%' ORDER BY 1"
    assert [value for (value,) in built.rows(grades)] == ["cold", "hot", "warm"]
    trends = "SELECT DISTINCT trend FROM marts.product_usage ORDER BY 1"
    assert [value for (value,) in built.rows(trends)] == ["declining", "growing", "stable"]


@heavy
def test_exactly_the_changed_customers_change_in_the_traits(spoiled: Spoiled, tmp_path: Path) -> None:
    before = spoiled.warehouse
    after = Warehouse(Path(shutil.copy(before.file, tmp_path)))
    assert change(after.file, 37).rows == 37
    after.dbt("run")
    old, new = ({row[0]: row for row in state.rows("FROM marts.customer_traits")} for state in (before, after))
    assert old.keys() == new.keys()
    assert len([key for key in new if new[key] != old[key]]) == 37
    for mart in ("enriched_leads", "product_usage"):
        assert after.rows(f"FROM marts.{mart} ORDER BY ALL") == before.rows(f"FROM marts.{mart} ORDER BY ALL")


@heavy
def test_removed_customers_leave_the_marts(spoiled: Spoiled) -> None:
    for mart in ("customer_traits", "customer_segments"):
        left = {key for (key,) in spoiled.warehouse.rows(f"SELECT customer_id FROM marts.{mart}")}
        assert len(left) == 295
        assert not left & set(spoiled.removed)


@heavy
def test_planted_rows_reach_the_marts(spoiled: Spoiled) -> None:
    warehouse, planted = spoiled.warehouse, spoiled.planted
    bad = {
        "null_email": "email IS NULL",
        "invalid_email": "email NOT LIKE '%@%'",
        "first_name_too_long": "length(first_name) > 200",
        "last_name_too_long": "length(last_name) > 200",
        "unknown_country": "region IS NULL",
        "same_email_in_other_case": "count(*) OVER (PARTITION BY lower(email)) > 1 AND email IS NOT NULL",
    }
    for defect, rule in bad.items():
        clause = "QUALIFY" if "OVER" in rule else "WHERE"
        keys = warehouse.rows(f"SELECT customer_id FROM marts.customer_traits {clause} {rule}")
        assert {key for (key,) in keys} == set(planted[defect]), defect
    nameless = warehouse.rows("SELECT email FROM marts.enriched_leads WHERE lead_id IS NULL")
    assert nameless == [tuple(planted["null_key"])]


@heavy
def test_planted_rows_warn_and_do_not_stop(spoiled: Spoiled) -> None:
    statuses = spoiled.warehouse.statuses()
    assert set(statuses.values()) == {"success", "pass", "warn"}
    assert {test for test, status in statuses.items() if status == "warn"} == {
        "not_null_customer_traits_email",
        "unique_ignoring_case_customer_traits_email",
        "email_syntax_customer_traits_email",
        "max_length_customer_traits_200__first_name",
        "max_length_customer_traits_200__last_name",
        "relationships_customer_traits_country__country__ref_country_regions_",
        "not_null_customer_segments_email",
        "unique_ignoring_case_customer_segments_email",
        "email_syntax_customer_segments_email",
        "not_null_enriched_leads_lead_id",
        "email_syntax_support_users_email",
    }


def test_keys_and_closed_lists_stop_the_syncs(built: Warehouse) -> None:
    tests = [node for node in built.artifact("manifest.json")["nodes"].values() if node["resource_type"] == "test"]
    severity = {node["name"]: node["config"]["severity"].lower() for node in tests}
    for mart in ("customer_traits", "customer_segments"):
        assert severity[f"unique_{mart}_customer_id"] == "error"
        assert severity[f"not_null_{mart}_customer_id"] == "error"
    assert severity["unique_together_product_usage_account_id__product"] == "error"
    assert {level for name, level in severity.items() if name.startswith("accepted_values")} == {"error"}


@heavy
def test_default_warehouse_is_beside_the_project(built: Warehouse, tmp_path: Path) -> None:
    """From whatever working directory dbt is started."""
    project, elsewhere, home = tmp_path / "project", tmp_path / "elsewhere" / "deep", tmp_path / ".reverse_etl"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    elsewhere.mkdir(parents=True)
    home.mkdir()
    shutil.copy(built.file, home)
    with duckdb.connect(str(home / "warehouse.duckdb")) as con:
        con.execute("DROP TABLE marts.product_usage")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REVERSE_ETL_")}
    command = [sys.executable, "-m", "dbt.cli.main", "run", "--select", "product_usage"]
    folders = ["--project-dir", "../../project", "--profiles-dir", "../../project"]
    subprocess.run([*command, *folders], env=environment, cwd=elsewhere, check=True, capture_output=True, timeout=120)
    assert Warehouse(home / "warehouse.duckdb").rows("SELECT count(*) > 0 FROM marts.product_usage") == [(True,)]


def test_a_build_waits_for_a_reader(built: Warehouse) -> None:
    """A reader in another process must raise what the profile retries."""
    profile = yaml.safe_load((PROJECT / "profiles.yml").read_text())["demo_saas"]["outputs"]["local"]
    read = f"import duckdb; con = duckdb.connect({str(built.file)!r}, read_only=True)"
    hold = f"{read}; print('reading', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        with pytest.raises(duckdb.Error) as refusal:
            duckdb.connect(str(built.file))
        reader.communicate("\n", timeout=30)
    assert refusal.type.__name__ in profile["retries"]["retryable_exceptions"]
    assert 2 ** (profile["retries"]["connect_attempts"] - 1) - 1 > 30  # seconds from the first attempt to the last
