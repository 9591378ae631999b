"""`python -m demo.story`: one bad day, from a broken model to a CRM as it was.

A new version of the model empties a column for 30 % of the customers. A guard stops it, somebody approves it by
mistake, the kill switch ends it half way, and an undo puts back what had gone out, but for the records that a person
has edited meanwhile. Ends by itself; the exit code is 1 if anything is not as it should be.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from demo.dbt import run_dbt
from demo.place import ROOT, fresh_folder, prepare
from reverse_etl_assets import ReverseEtlError
from reverse_etl_sandbox.server import Sandbox

if TYPE_CHECKING:
    from reverse_etl_assets import Project, Report

SYNCS = {
    "salesforce_contacts": ("salesforce", "Contact", "Segment__c"),
    "hubspot_contacts": ("hubspot", "contacts", "segment"),
}
_ONE_MODEL = ("run", "--select", "customer_traits")
EDITS = 3  # records in each CRM that a person changes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.story", description=__doc__)
    parser.add_argument("--customers", type=int, default=6000, help="at least 6000, so that a run can be stopped")
    out = Console(file=sys.stdout, highlight=False)
    try:
        sys.exit(0 if tell(out, fresh_folder("story"), parser.parse_args().customers) else 1)
    except ReverseEtlError as error:
        sys.exit(f"Error: {error}")


def tell(out: Console, home: Path, customers: int) -> bool:
    """Returns whether all of it went as it should."""
    with Sandbox() as sandbox:
        with out.status("Making source data, reading the dbt project"):
            project = prepare(home, sandbox.url, customers, seed=7)
        story = _Story(out, project, sandbox, home)
        story.a_good_day()
        before = story.snapshots()
        story.a_bad_version()
        waiting = story.the_guard_stops_it()
        story.approved_by_mistake(waiting)
        stopped = story.the_kill_switch()
        edited = story.a_sales_rep_edits(stopped, before)
        story.undo(stopped, edited)
        story.compare(before, edited)
        story.the_next_day(edited)
        return story.ends()


class _Story:
    def __init__(self, out: Console, project: "Project", sandbox: Sandbox, home: Path) -> None:
        self._out, self._project, self._sandbox, self._home = out, project, sandbox, home
        self._wrong: list[str] = []
        self._began = time.monotonic()

    def a_good_day(self) -> None:
        with self._step("A good day: dbt builds the customers, both CRMs get them"):
            self._dbt(ROOT / "dbt_project", "build")
            for report in self._run_both():
                self._say(report)
                self._expect(report.status == "done", f"{report.sync.sync} was to end well: {report.detail}")

    def a_bad_version(self) -> None:
        with self._step("A new version of customer_traits empties `segment` for 30 % of the customers"):
            self._dbt(_bad_project(self._home), *_ONE_MODEL)

    def the_guard_stops_it(self) -> "dict[str, str]":
        """The plans that wait, by sync."""
        waiting = {}
        with self._step("The guard stops both syncs"):
            calls = self._calls()
            for report in self._run_both():
                self._out.print(f"     {report.sync.sync}: {report.detail}", soft_wrap=True)
                self._out.print(f"     plan {report.plan_id} waits")
                self._expect(report.status == "guarded", f"{report.sync.sync} was not stopped")
                waiting[report.sync.sync] = str(report.plan_id)
            self._expect(self._calls() == calls, "requests went out although a guard had tripped")
        return waiting

    def approved_by_mistake(self, waiting: "Mapping[str, str]") -> None:
        with self._step("Somebody approves both plans by mistake"):
            for plan_id in waiting.values():
                self._project.journal.approve(plan_id, "sam", "looks like spring cleaning")
                self._out.print(f'     reverse-etl approve {plan_id} --why "looks like spring cleaning"')

    def the_kill_switch(self) -> "dict[str, Report]":
        """The runs that were stopped half way, by sync."""
        found = {}
        with self._step("They go out, until somebody pulls the kill switch"):
            for name in SYNCS:
                report = self._run(name, stops=True)
                found[name] = report
                self._say(report)
                unsent = report.counts.get("skipped_stopped", 0)
                self._expect(report.status == "stopped" and unsent > 0, f"{name} was not stopped half way")
        return found

    def a_sales_rep_edits(
        self, stopped: "Mapping[str, Report]", before: "Mapping[str, bytes]"
    ) -> "dict[str, dict[str, str]]":
        """Three records that have just lost their segment get another than they had. Their keys, by sync and id."""
        edited: dict[str, dict[str, str]] = {}
        with self._step(f"A sales rep corrects {EDITS} records in each CRM by hand"):
            for name, (vendor, kind, field) in SYNCS.items():
                edited[name] = {}
                held = _by_id(before[name])
                for key, record in self._emptied(stopped[name]):
                    had = msgspec.json.decode(held[record])["values"][field]
                    self._sandbox.edit(vendor, kind, record, {field: "new" if had == "dormant" else "dormant"})
                    edited[name][record] = key
        return edited

    def undo(self, stopped: "Mapping[str, Report]", edited: "Mapping[str, Mapping[str, str]]") -> None:
        from reverse_etl_assets import undo_run

        with self._step("Undo: what went out is put back"):
            for name, run in stopped.items():
                sync, account = self._sync(name)
                report = undo_run(
                    run.run_id, sync, self._project.environment, account, who="ann", why="segments were emptied"
                )
                self._say(report)
                self._name_the_edited(name, report, edited[name])
                back, gone = report.counts.get("updated", 0), run.counts.get("updated", 0)
                self._expect(back == gone - EDITS, f"{name}: {back} of {gone} rows were put back")

    def _name_the_edited(self, name: str, report: "Report", edited: "Mapping[str, str]") -> None:
        rows = self._query(
            name,
            "select key, message from state.outcomes where run_id = $run and reason = 'edited' order by key",
            run=report.run_id,
        )
        for key, message in rows:
            self._out.print(f"     left: {self._shown(name, key)}: {message}", soft_wrap=True)
        self._expect({key for key, _ in rows} == set(edited.values()), f"{name}: other rows were left than edited")

    def compare(self, before: "Mapping[str, bytes]", edited: "Mapping[str, Mapping[str, str]]") -> None:
        with self._step("Both CRMs are compared with what they were, byte for byte"):
            for name, now in self.snapshots().items():
                then = _by_id(before[name])
                differing = {record for record, line in _by_id(now).items() if line != then.get(record)}
                self._out.print(f"     {name}: {len(then) - len(differing):,} of {len(then):,} records as before")
                self._expect(differing == edited[name].keys(), f"{name}: {len(differing)} records differ")
                self._expect(then.keys() == _by_id(now).keys(), f"{name}: records came or went")

    def the_next_day(self, edited: "Mapping[str, Mapping[str, str]]") -> None:
        """The rep's values stay, for the sync says `wins: unless_edited`."""
        with self._step("The model is mended, the syncs are resumed"):
            self._dbt(ROOT / "dbt_project", *_ONE_MODEL)
            for name in SYNCS:
                self._project.journal.resume(f"sync:{name}", "ann", "the model is mended")
            for report in self._run_both():
                self._say(report)
                kept = report.counts.get("skipped_kept", 0)
                self._expect(report.status == "done" and kept == EDITS, f"{report.sync.sync}: {kept} values were kept")
            for name in SYNCS:
                self._verify(name, edited[name])

    def _verify(self, name: str, edited: "Mapping[str, str]") -> None:
        from reverse_etl_assets import verify

        sync, account = self._sync(name)
        found = verify(sync, self._project.environment, account, sample="all")
        self._out.print(f"     {name}: verified, {found.looked_at:,} records read back, {found.differing} differ")
        self._expect(found.differing == 0 and found.missing == 0, f"{name}: verification is not green")

    def ends(self) -> bool:
        for problem in self._wrong:
            self._out.print(f"[red] x {problem}[/]", soft_wrap=True)
        text = "[red]Something is off[/]" if self._wrong else "[green]All as it should be[/]"
        self._out.print(f"\n{text}, in {time.monotonic() - self._began:.0f} s and {self._calls():,} API calls.")
        return not self._wrong

    # what the steps are made of

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        began, calls = time.monotonic(), self._calls()
        self._out.print(f"\n[bold]{title}[/]")
        yield
        spent = f"{time.monotonic() - began:.1f} s, {self._calls() - calls:,} API calls"
        self._out.print(f"     [dim]{spent}[/]")

    def _calls(self) -> int:
        return sum(vendor["calls"]["total"] for vendor in self._sandbox.counts().values())

    def snapshots(self) -> "dict[str, bytes]":
        return {name: self._sandbox.snapshot(vendor, kind) for name, (vendor, kind, _) in SYNCS.items()}

    def _sync(self, name: str) -> Any:
        from demo.deployment import destinations

        sync = self._project.syncs[name]
        return sync, destinations[sync.destination].account(sync.destination)

    def _run(self, name: str, *, stops: bool = False) -> "Report":
        from reverse_etl_assets import run_sync

        sync, account = self._sync(name)
        return run_sync(sync, self._project.environment, account, on_progress=self._switch(name) if stops else _nothing)

    def _run_both(self) -> "list[Report]":
        return [self._run(name) for name in SYNCS]

    def _switch(self, name: str) -> Callable[[Any, Mapping[str, int]], None]:
        """Pulls the kill switch of a sync once its first records are written."""

        stopped: list[str] = []

        def on_progress(plan: Any, statuses: Mapping[str, int]) -> None:
            if statuses.get("updated") and not stopped:
                stopped.append(name)
                self._project.journal.stop(f"sync:{name}", "ann", "segments are being emptied")

        return on_progress

    def _emptied(self, run: "Report") -> "list[tuple[str, str]]":
        return self._query(
            run.sync.sync,
            "select key, destination_id from state.outcomes where run_id = $run and status = 'updated'"
            f" order by key limit {EDITS}",
            run=run.run_id,
        )

    def _query(self, name: str, query: str, **values: str) -> "list[Any]":
        with self._project.warehouse.open(name) as con:
            return con.execute(query, values).fetchall()

    def _shown(self, name: str, key: str) -> str:
        return str(self._project.mask(self._project.syncs[name]).key(key))

    def _say(self, report: "Report") -> None:
        names = ("created", "updated", "deleted", "failed", "skipped")
        counts = ", ".join(f"{report.counts[n]:,} {n}" for n in names if report.counts.get(n)) or "nothing to send"
        self._out.print(f"     {report.sync.sync}: {counts}; {report.calls:,} calls, {report.seconds:.1f} s")

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self._wrong.append(otherwise)

    def _dbt(self, project: Path, *words: str) -> None:
        run_dbt(project, self._home, *words)


def _nothing(plan: Any, statuses: Mapping[str, int]) -> None:
    pass


def _by_id(snapshot: bytes) -> dict[str, bytes]:
    return {msgspec.json.decode(line)["id"]: line for line in snapshot.splitlines() if line}


def _bad_project(home: Path) -> Path:
    """A copy of the dbt project in which a join has gone wrong."""
    import shutil

    bad = home / "dbt_bad_version"
    shutil.copytree(ROOT / "dbt_project", bad, ignore=shutil.ignore_patterns("target", "logs"))
    model = bad / "models" / "marts" / "customer_traits.sql"
    lost = "case when hash(customers.customer_id) % 10 >= 3 then health.segment end as segment"
    model.write_text(model.read_text().replace("health.segment", lost))
    return bad


if __name__ == "__main__":
    main()
