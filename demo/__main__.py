"""`python -m demo`: the whole way of a row, twice, against a sandbox on this machine.

Ends by itself; the exit code is 1 if anything is not as it should be.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from demo import data
from demo.database import product_database
from demo.place import fresh_folder, prepare
from reverse_etl_assets import ReverseEtlError
from reverse_etl_sandbox.server import Sandbox

if TYPE_CHECKING:
    from demo.rounds import Round
    from reverse_etl_assets import Project


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--customers", type=int, default=2000, help="at least 600 (default: 2000)")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    out = Console(file=sys.stdout, highlight=False)
    try:
        sys.exit(_demo(out, asked.customers, asked.seed))
    except (ReverseEtlError, ValueError) as error:
        sys.exit(f"Error: {error}")


def _demo(out: Console, customers: int, seed: int) -> int:
    home = fresh_folder("demo")
    warehouse = home / "warehouse.duckdb"
    started = time.monotonic()
    with Sandbox() as sandbox, product_database() as database:
        with out.status("Making source data, reading the dbt project"):
            project = prepare(home, sandbox.url, customers, seed, database.url)
        out.print(f"[bold]1. First run[/]: {customers:,} customers go through dbt to every destination.")
        first = _round(out, project, home)
        out.print(f"\n[bold]2. The source changes[/]: {_change(warehouse, customers, seed)}.")
        planted = data.plant_bad_rows(warehouse, seed)
        second = _round(out, project, home)
        passed = _account_for(out, project, [first, second], planted, {**sandbox.counts(), **database.counts()})
    out.print(f"\n{'Done' if passed else '[red]Something is off[/]'} in {time.monotonic() - started:.0f} s.")
    _next_steps(out, home, planted)
    return 0 if passed else 1


def _change(warehouse: Path, customers: int, seed: int) -> str:
    """Change and remove customers. The bad rows are planted after it, for they are asked for later."""
    changed = data.change(warehouse, customers * 3 // 20, seed).rows
    removed = len(data.remove(warehouse, customers // 80, seed))
    return f"{changed:,} customers change, {removed:,} leave, 8 rows are spoiled"


def _round(out: Console, project: "Project", home: Path) -> "Round":
    from demo.rounds import materialise_everything
    from demo.tables import show_round, show_saving

    with out.status("Building the models, running the syncs"):
        found = materialise_everything(project, home / "demo.log")
    show_round(out, project, found)
    show_saving(out, found)
    return found


def _account_for(
    out: Console,
    project: "Project",
    rounds: "list[Round]",
    planted: dict[str, list[str]],
    counts: Mapping[str, Any],
) -> bool:
    from demo.spoiled import fates
    from demo.tables import show_checks, show_fates
    from demo.verify import verify

    found = fates(project, planted, {name: run.run_id for name, run in rounds[-1].runs.items()})
    out.print("\n[bold]3. Every row is accounted for[/]: none of the bad rows stopped a good one.")
    show_fates(out, found)
    checks = verify(project, rounds, found, counts)
    show_checks(out, checks)
    return not any(checks.values())


def _next_steps(out: Console, home: Path, planted: dict[str, list[str]]) -> None:
    key = planted["first_name_too_long"][0]
    out.print("\nNext:")
    out.print(f"  REVERSE_ETL_HOME={home} .venv/bin/reverse-etl why {key}", soft_wrap=True)
    out.print("  make dev    the Dagster UI, with the sandbox beside it")
    out.print(f"[dim]  {home / 'demo.log'} has what Dagster and dbt said.[/]", soft_wrap=True)


if __name__ == "__main__":
    main()
