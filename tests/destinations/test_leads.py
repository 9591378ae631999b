"""The page's example of an API without an upsert, with the real engine; and reads at a rate of their own."""

import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from reverse_etl_assets import Report
from reverse_etl_assets.destinations import Account, Capabilities, SyncOptions, Target
from reverse_etl_assets.testing import PaceContract, ScratchProject, VirtualClock, target
from tests.destinations import leads_server
from tests.destinations.leads_server import LeadsServer
from tests.heavy import heavy
from tests.pages import module_from

sys.modules["leads_server"] = leads_server
API, TESTS = map(module_from, ("leads_api", "test_leads_api"))
SYNC = {
    "sync": "people_to_leads",
    "model": "people",
    "destination": "leads",
    "object": "leads",
    "primary_key": "ref",
    "mapping": {"ref": "ref", "note": "note"},
    "sync_mode": "mirror",
    "guards": {"max_removed": {"percent": None}},
}
LEADS = "select 'lead-' || i as ref, 'note {}' as note from range({}) r(i)"


def run(folder: Path, server: LeadsServer, query: str, kind: Any = API.Leads) -> Report:
    connection = API.LeadsConnection(base_url=server.url, api_key=SecretStr(server.key), requests_per_second=1_000)
    return ScratchProject(folder).run(SYNC, query, Account("leads", kind, connection))


def counts(report: Report) -> dict[str, int]:
    return {name: count for name, count in report.counts.items() if count}


def test_the_first_run_makes_leads_and_the_next_changes_them(tmp_path: Path) -> None:
    with LeadsServer() as server:
        first = run(tmp_path, server, LEADS.format(1, 4))
        second = run(tmp_path, server, LEADS.format(2, 3))
        assert first.counts["created"] == 4
        assert (second.counts["updated"], second.counts["deleted"]) == (3, 1)
        assert sorted((lead["ref"], lead["note"]) for lead in server.leads.values()) == [
            (f"lead-{number}", "note 2") for number in range(3)
        ]


@heavy
def test_a_lead_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    with LeadsServer() as server:
        run(tmp_path, server, LEADS.format(1, 2))
        server.leads.clear()
        assert run(tmp_path, server, LEADS.format(2, 2)).counts["created"] == 2
        assert {lead["note"] for lead in server.leads.values()} == {"note 2"}


def test_a_day_that_is_used_up_ends_the_run(tmp_path: Path) -> None:
    with LeadsServer(a_day=5) as server:
        report = run(tmp_path, server, LEADS.format(1, 20))
        assert report.counts["skipped"] == 20 - report.counts["created"] > 10
        assert "daily_limit" in str(report.detail)
        assert report.counts["skipped_stopped"] > 10
        assert len(server.log) < 20


class ReadsApart(API.Leads):  # type: ignore[name-defined, misc]
    """Looks leads up one at a time, which are counted apart."""

    @classmethod
    def capabilities_for(cls, target: Target, options: SyncOptions) -> Capabilities:
        return replace(super().capabilities_for(target, options), reads_per_second=49, find_limit=1)


class ReadsTwice(API.Leads):  # type: ignore[name-defined, misc]
    """Looks leads up one at a time, and each again by its id."""

    @classmethod
    def capabilities_for(cls, target: Target, options: SyncOptions) -> Capabilities:
        return replace(super().capabilities_for(target, options), requests_per_read=2, find_limit=1)

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found: Mapping[str, Sequence[str]] = await super().find(external_ids)
        [ids] = found.values()
        await self.read_json(self.client.build_request("GET", f"/leads/{ids[0]}" if ids else "/leads"))
        return found


def test_reads_that_are_counted_apart_have_a_pace_of_their_own(tmp_path: Path) -> None:
    with LeadsServer() as server:
        run(tmp_path, server, LEADS.format(1, 2), ReadsApart)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        accounts = {name for (name,) in journal.execute("select account from reverse_etl_pace")}
    assert accounts == {"leads", "leads/reads"}


class TestReadsApart(TESTS.TestLeads, PaceContract):  # type: ignore[name-defined, misc]
    """Writes have all of their rate, though each waits for a look-up."""

    destination = ReadsApart

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[LeadsServer]:
        with LeadsServer(clock, a_second=10, reads_a_second=50) as server:
            yield server


class TestReadsTwice(PaceContract):
    """Three requests a row, and none of them is one too many in its second."""

    destination = ReadsTwice
    target = target("leads", "ref", note=TESTS.FieldType.TEXT, city=TESTS.FieldType.TEXT)
    text_field = "note"
    pace_rows = 30
    pace_allowed = 10.0
    pace_window = 1.0
    connection, record, spoiled, stored = (
        getattr(TESTS.TestLeads, name) for name in ("connection", "record", "spoiled", "stored")
    )
    paced_server, refused_for_the_rate = TESTS.TestLeads.paced_server, TESTS.TestLeads.refused_for_the_rate


@heavy
def test_a_look_up_of_two_requests_is_foreseen_as_two(tmp_path: Path) -> None:
    with LeadsServer() as server:
        run(tmp_path, server, LEADS.format(1, 1), ReadsTwice)  # which is checked, too
        before = len(server.log)
        report = run(tmp_path, server, LEADS.format(1, 3), ReadsTwice)
        assert report.forecast
        assert (report.forecast.reads, report.forecast.writes) == (4, 2)
        assert len(server.log) - before == report.forecast.calls
