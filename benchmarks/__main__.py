"""`python -m benchmarks [NAME ...]`: each figure in a process and a folder of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import pace, plan, sending

Case = Callable[[Path], dict[str, object]]

BENCHMARKS: dict[str, list[Case]] = {
    "plan": [
        partial(plan.run, rows=rows, changed=changed)
        for rows in (1_000_000, 10_000_000)
        for changed in (400, rows // 100, rows)
    ],
    "plan_id": [partial(plan.identity, rows=1_000_000, changed=changed) for changed in (None, 400, 1_000_000)],
    "first_sync": [partial(sending.first_sync, rows=rows) for rows in (100_000, 1_000_000)],
    "delta": [lambda home: sending.delta(home, 1_000_000)],
    "rate": [sending.rate_used],
    "journal": [sending.journal_cost],
    "pace": [partial(pace.run, vendor=vendor) for vendor in pace.VENDORS],
}
AIMS = {
    "plan": "aim: ratio <= 5.5 for 400 and 1 % changed, peak < 1500 MB",
    "plan_id": "aim: <= 10 % of a first sync's plan",
    "first_sync": f"aim: 60 % of the ceiling of {sending.CEILING:,.0f} rows/s, peak flat and < 300 MB",
    "delta": "aim: exactly 4 write requests",
    "rate": "aim: >= 95 % of the allowed rate, no 429",
    "journal": "",
    "pace": "aim: >= 95 % of each vendor's rate, no 429; time is virtual",
}


def main(names: list[str]) -> None:
    if names[:1] == ["--case"]:
        print(json.dumps(BENCHMARKS[names[1]][int(names[2])](Path(names[3]))))
        return
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        rows = [_measure(name, number) for number in range(len(BENCHMARKS[name]))]
        table = Table(*rows[0], title=name, caption=AIMS[name], title_justify="left")
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        Console().print(table)


def _measure(name: str, number: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "benchmarks", "--case", name, str(number), home]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}, case {number}, failed:\n{done.stderr}")
    measured: dict[str, object] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main(sys.argv[1:])
