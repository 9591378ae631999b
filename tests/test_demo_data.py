"""The demo's source data: the same for everyone, and spoiled only where it says so."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo.data import change, generate, plant_bad_rows, remove
from tests.heavy import heavy

pytestmark = heavy

TABLES = ("customers", "orders", "leads", "page_views", "product_events")


def rows(warehouse: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as con:
        return con.sql(query).fetchall()


def checksum(warehouse: Path) -> str:
    tables = [rows(warehouse, f"FROM raw.{table} ORDER BY ALL") for table in TABLES]
    return hashlib.sha256(repr(tables).encode()).hexdigest()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    warehouse = tmp_path_factory.mktemp("generated") / "warehouse.duckdb"
    generate(warehouse, 1000)
    return warehouse


@pytest.fixture
def warehouse(generated: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "warehouse.duckdb"
    copy.write_bytes(generated.read_bytes())
    return copy


def test_rows_do_not_depend_on_threads(tmp_path: Path) -> None:
    # more rows than one row group holds, so that two threads really share the work
    generate(tmp_path / "one.duckdb", 130_000, threads=1)
    generate(tmp_path / "two.duckdb", 130_000, threads=2)
    query = (
        "SELECT count(*), sum(CAST(md5_number(customers::VARCHAR) % 1000000007 AS HUGEINT)) FROM raw.{0} AS customers"
    )
    for table in TABLES:
        one, two = (rows(tmp_path / name, query.format(table)) for name in ("one.duckdb", "two.duckdb"))
        assert one == two


def test_generating_again_replaces_the_tables_with_the_same_rows(warehouse: Path) -> None:
    before = checksum(warehouse)
    change(warehouse, 10)
    assert checksum(warehouse) != before
    generate(warehouse, 1000)
    assert checksum(warehouse) == before


def test_rows_depend_on_the_seed(generated: Path, tmp_path: Path) -> None:
    generate(tmp_path / "other.duckdb", 1000, seed=8)
    assert checksum(tmp_path / "other.duckdb") != checksum(generated)


def test_rows_are_the_same_on_every_machine_and_release(generated: Path) -> None:
    """Pinned: a change here means that everyone's demo data changes."""
    assert checksum(generated) == "e9fec27ec35118564341f3ac01a09787ceda3eeef384ee6de89d33a9a7a034a5"


def test_sizes(generated: Path) -> None:
    counts: dict[str, Any] = {table: rows(generated, f"SELECT count(*) FROM raw.{table}")[0][0] for table in TABLES}
    assert {**counts, "product_events": None} == {
        "customers": 1000,
        "orders": 1500,
        "leads": 200,
        "page_views": 400,
        "product_events": None,
    }
    assert 0 < counts["product_events"] <= 600


def test_generated_rows_are_clean(generated: Path) -> None:
    """Whatever is bad in the demo was planted."""
    assert rows(generated, "SELECT count(DISTINCT lower(email)), count(DISTINCT customer_id) FROM raw.customers") == [
        (1000, 1000)
    ]
    assert rows(generated, "SELECT count(DISTINCT lower(email)), count(DISTINCT lead_id) FROM raw.leads") == [
        (200, 200)
    ]
    assert rows(generated, "FROM raw.orders ANTI JOIN raw.customers USING (customer_id)") == []
    assert rows(generated, "FROM raw.page_views ANTI JOIN raw.leads USING (lead_id)") == []


def test_nothing_happens_after_today(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    generate(warehouse, 1000, today=date(2024, 2, 29))
    newest = rows(
        warehouse,
        """SELECT max(moment) FROM (
            SELECT max(greatest(signed_up_at, updated_at)) AS moment FROM raw.customers
            UNION ALL SELECT max(ordered_at) FROM raw.orders
            UNION ALL SELECT max(created_at) FROM raw.leads
            UNION ALL SELECT max(viewed_on) FROM raw.page_views
            UNION ALL SELECT max(day) FROM raw.product_events)""",
    )
    assert str(newest[0][0]) == "2024-02-29 00:00:00"


def test_no_address_belongs_to_anyone(generated: Path) -> None:
    addresses = "SELECT email FROM (SELECT email FROM raw.customers UNION ALL SELECT email FROM raw.leads)"
    assert (
        rows(generated, f"FROM ({addresses}) WHERE NOT regexp_matches(email, '@([a-z-]+\\.)?example\\.(com|net)$')")
        == []
    )


def test_names_are_not_only_english(generated: Path) -> None:
    names = {name for row in rows(generated, "SELECT first_name, last_name FROM raw.customers") for name in row}
    assert {"Zoë", "Müller", "Łukasz", "田中", "O'Brien"} <= names


@pytest.mark.parametrize("customers", [99, 10_000_001])
def test_size_out_of_range(tmp_path: Path, customers: int) -> None:
    with pytest.raises(ValueError, match=f"between 100 and 10000000, got {customers}"):
        generate(tmp_path / "warehouse.duckdb", customers)
    assert not (tmp_path / "warehouse.duckdb").exists()


def test_change_says_what_it_changed(generated: Path, warehouse: Path) -> None:
    summary = change(warehouse, 37)
    with duckdb.connect(str(warehouse)) as con:
        con.execute(f"ATTACH '{generated}' AS before (READ_ONLY)")
        changed = con.sql(
            """SELECT count(*) FILTER (WHERE n.plan IS DISTINCT FROM o.plan),
                      count(*) FILTER (WHERE n.country IS DISTINCT FROM o.country),
                      count(*) FILTER (WHERE n.company IS DISTINCT FROM o.company),
                      count(*) FILTER (WHERE n.marketing_opt_in IS DISTINCT FROM o.marketing_opt_in)
               FROM raw.customers AS n JOIN before.raw.customers AS o USING (customer_id)"""
        ).fetchall()
        buyers = con.sql(
            """SELECT count(DISTINCT customer_id) FROM raw.orders
               WHERE order_id NOT IN (SELECT order_id FROM before.raw.orders)"""
        ).fetchall()
    assert summary.rows == 37
    assert summary.fields == {"plan": 9, "country": 10, "company": 9, "marketing_opt_in": 9, "lifetime_value": 37}
    assert changed == [(9, 10, 9, 9)]
    assert buyers == [(37,)]


def test_the_same_customers_change_again(warehouse: Path) -> None:
    states = {checksum(warehouse)}
    for _ in range(4):
        change(warehouse, 8)
        states.add(checksum(warehouse))
    assert len(states) == 5


def test_remove_takes_the_customers_and_their_orders(warehouse: Path) -> None:
    removed = remove(warehouse, 25)
    assert len(set(removed)) == 25
    left = {key for (key,) in rows(warehouse, "SELECT customer_id FROM raw.customers")}
    assert len(left) == 975
    assert not left & set(removed)
    assert rows(warehouse, "FROM raw.orders ANTI JOIN raw.customers USING (customer_id)") == []


@pytest.mark.parametrize("work", [change, remove])
@pytest.mark.parametrize("count", [-1, 1001])
def test_more_rows_than_customers(warehouse: Path, work: object, count: int) -> None:
    before = checksum(warehouse)
    with pytest.raises(ValueError, match=f"between 0 and the 1000 customers in the warehouse, got {count}"):
        work(warehouse, count)  # type: ignore[operator]
    assert checksum(warehouse) == before


def test_planted_rows_are_bad_in_the_way_it_says(warehouse: Path) -> None:
    planted = plant_bad_rows(warehouse)
    customers = {
        row[0]: row[1:]
        for row in rows(warehouse, "SELECT customer_id, email, first_name, last_name, country FROM raw.customers")
    }

    def only(defect: str) -> tuple[object, ...]:
        (key,) = planted[defect]
        return customers[key]

    assert only("null_email")[0] is None
    assert "@" not in str(only("invalid_email")[0])
    assert len(str(only("first_name_too_long")[1])) > 200
    assert len(str(only("last_name_too_long")[2])) > 200
    assert only("unknown_country")[3] == "XX"
    first, second = (str(customers[key][0]) for key in planted["same_email_in_other_case"])
    assert first != second
    assert first.lower() == second.lower()
    assert rows(warehouse, "SELECT email FROM raw.leads WHERE lead_id IS NULL") == [tuple(planted["null_key"])]
    assert len({key for defect, keys in planted.items() for key in keys}) == 8


def test_command_line(tmp_path: Path, generated: Path) -> None:
    command = [sys.executable, "-m", "demo.data", "--customers"]
    warehouse = tmp_path / "new" / "warehouse.duckdb"
    subprocess.run([*command, "1000", "--seed", "7", str(warehouse)], check=True, timeout=60)
    assert checksum(warehouse) == checksum(generated)
    refused = subprocess.run([*command, "3", str(warehouse)], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "customers must be between 100 and 10000000, got 3" in refused.stderr
