"""How long Dagster takes to load this project with 1 and with many syncs.

    python benchmarks/load_code_location.py --syncs 100

CPU seconds of a process of its own, which loads all definitions and makes the snapshot that Dagster keeps of them;
the best of three, for a machine has other things to do. The dbt manifest has to be there.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SYNC = """
sync: contacts_{number}
model: customer_traits
destination: hubspot
object: 2-{number}
primary_key: email
mapping: {{email: email, firstname: first_name, lastname: last_name, company: company, country: country}}
allow_pii: {{email: They are matched by it., first_name: They are greeted by it., last_name: They are greeted by it.}}
sync_mode: mirror
schedule: {schedule}
owners: ["team:marketing"]
tags: {{domain: marketing}}
"""


def load(folder: str) -> None:
    """In a process of its own."""
    from dagster._core.remote_representation.external_data import RepositorySnap

    from demo.deployment import destinations, project
    from reverse_etl_assets.orchestration.build import build_definitions
    from reverse_etl_assets.orchestration.dbt import DbtLink
    from reverse_etl_assets.orchestration.loaded import load
    from reverse_etl_assets.project import Project

    project = Project(project.dbt, Path(folder), project.destinations)
    RepositorySnap.from_def(build_definitions(load(project, destinations, DbtLink(project.dbt))).get_repository_def())
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime)


def measure(syncs: int) -> float:
    """CPU seconds; half of the syncs have a cron line, half promise to be fresh."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(syncs):
            schedule = "'0 6 * * *'" if number % 2 else "{fresh_within: 6 hours}"
            Path(folder, f"contacts_{number}.yml").write_text(SYNC.format(number=number, schedule=schedule))
        command = [sys.executable, __file__, "--load", folder]
        environment = os.environ | {"REVERSE_ETL_HOME": folder}
        runs = [
            subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=ROOT).stdout
            for _ in range(3)
        ]
    return min(float(printed.splitlines()[-1]) for printed in runs)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--syncs", type=int, default=100)
    arguments.add_argument("--load", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.load:
        load(chosen.load)
        return
    one, many = measure(1), measure(chosen.syncs)
    print(f"1 sync {one:.2f} s, {chosen.syncs} syncs {many:.2f} s of CPU: {many / one:.2f} times as long")


if __name__ == "__main__":
    main()
