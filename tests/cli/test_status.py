"""`status`: what is stopped, what waits, what was used and what it costs."""

import subprocess
import sys

import pytest

from reverse_etl_assets.journal.records import Tripped, WaitingPlan
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource
from reverse_etl_assets.records import Quota
from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, EVENTS, Office
from tests.heavy import heavy


@pytest.fixture
def two(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.delenv("REVERSE_ETL_STOP", raising=False)
    office.sync("events", {**EVENTS, "cost": {"per_seat": 30, "seats": 3}})
    office.sync("people_to_crm", {**CONTACTS, "cost": {"per_call": 0.5, "per_row": 2}})
    office.build(("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz"))
    return office


def test_stops_in_force_and_who_gave_them(two: Office) -> None:
    two.ok("stop", "--destination", "crm", "--why", "Wrong [prices]", "--who", "Kim")
    (two.home / "STOP.sync.events").write_text("Noise")
    (two.home / "STOP.txt").write_text("Everything!")
    found = two.json("status")
    assert [(stop["scope"], stop["why"]) for stop in found["stops"]] == [
        ("destination:crm", "Wrong [prices]"),
        ("sync:events", "Noise"),
    ]
    assert found["stops"][1]["given_in"] == str(two.home / "STOP.sync.events")
    assert found["files_that_stop_nothing"] == [str(two.home / "STOP.txt")]
    said = " ".join(two.ok("status").split())
    assert "stopped (destination:crm) by Kim at 20" in said
    assert "Wrong [prices]" in said
    assert "STOP.txt stops nothing: name it STOP," in said
    assert "people_to_crm: stopped (destination:crm)" in said


def test_rows_that_are_held(two: Office, sandbox: Sandbox) -> None:
    assert {sync["sync"]: sync["held"] for sync in two.json("status")["syncs"]} == {"events": 0, "people_to_crm": 0}
    sandbox.fault("drop_after", vendor="rest")
    two.run("run", "events")
    assert {sync["sync"]: sync["held"] for sync in two.json("status")["syncs"]} == {"events": 2, "people_to_crm": 0}
    said = two.ok("status")
    assert "events: 2 rows are held, for nobody knows if the last send arrived" in said
    assert "reverse-etl release --sync events" in said
    listed = two.json("release", "--sync", "events")
    run = two.json("status")["syncs"][0]["run"]
    assert [(row["key"], row["run_id"]) for row in listed["rows"]] == [
        ("ada@shop.example|Bern", run),
        ("bob@shop.example|Graz", run),
    ]
    assert "1 of 2 rows; --limit 0 lists all" in two.ok("release", "--sync", "events", "--limit", "1")
    two.ok("release", "ada@shop.example|Bern", "--sync", "events")
    assert "events: 1 row is held" in two.ok("status")
    assert two.ok("release", "--sync", "people_to_crm") == "people_to_crm keeps no row back.\n"


def test_a_state_that_is_written_to_does_not_keep_it_waiting(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["reverse_etl_assets.cli.status"], "_STATE_WAIT", 0.0)
    two.ok("run", "people_to_crm")
    hold = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    state = str(two.project.warehouse.state_file("people_to_crm"))
    command = [sys.executable, "-c", hold, state]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        held = {sync["sync"]: sync["held"] for sync in two.json("status")["syncs"]}
        holder.communicate(b"\n")
    assert held == {"events": 0, "people_to_crm": None}


def test_without_the_journal_it_still_tells_what_files_stop(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    (two.home / "STOP").write_text("Noise\nwho: Kim")
    monkeypatch.setenv("REVERSE_ETL_JOURNAL", "postgresql://nobody@127.0.0.1:1/none")
    result = two.run("status")
    assert result.exit_code == 2
    assert "stopped (all) by Kim in" in result.stderr
    assert "unreachable" in result.stderr


def test_plans_that_wait_and_who_approved_them(two: Office) -> None:
    journal = two.project.journal
    findings = (Tripped("max_removed", "30 removed; the limit is 25 %"),)
    journal.keep_plan(WaitingPlan("p1", "people_to_crm", "r1", 1_750_000_000, {}, findings, {}))
    (plan,) = two.json("status")["waiting_plans"]
    assert (plan["plan"], plan["sync"], plan["status"]) == ("p1", "people_to_crm", "waiting")
    assert plan["findings"] == ["30 removed; the limit is 25 %"]
    assert "people_to_crm: plan p1 waits for approval: 30 removed" in two.ok("status")
    journal.approve("p1", "Kim", "Seen with sales")
    found = two.json("status")
    assert found["waiting_plans"][0]["approved_by"] == "Kim"
    assert [(entry["action"], entry["scope"]) for entry in found["kill_switch_log"]] == [("approve", "plan:p1")]
    assert "plan p1 approved by Kim" in two.ok("status")


@heavy
def test_what_was_used_and_what_it_costs(two: Office) -> None:
    two.ok("run", "people_to_crm")
    found = two.json("status")
    calls = next(sync for sync in found["syncs"] if sync["sync"] == "people_to_crm")["counts"]["calls"]
    used = {each["sync"]: each for each in found["usage_today"]}
    assert (used["people_to_crm"]["calls"], used["people_to_crm"]["rows"]) == (calls, 2)
    assert used["people_to_crm"]["cost"] == pytest.approx(0.5 * calls + 2 * 2)
    assert (used["events"]["calls"], used["events"]["cost"]) == (0, pytest.approx(3)), "seats cost without a run"
    crm, hook = found["destinations"]
    assert (crm["destination"], crm["calls"], crm["rows"]) == ("crm", calls, 2)
    assert crm["cost"] == pytest.approx(used["people_to_crm"]["cost"])
    assert crm["bytes"] == used["people_to_crm"]["bytes"] > 0
    assert hook["cost"] == pytest.approx(3)
    said = two.ok("status")
    assert f"{used['people_to_crm']['cost']:,.2f}" in said


def test_the_requests_of_check_count_too(two: Office) -> None:
    two.ok("check")
    assert two.json("status")["destinations"][0]["calls"] == 1


def test_budgets_and_the_vendors_own_counter(two: Office) -> None:
    two.destinations["crm"] = HubSpotResource(access_token="x", daily_calls=5, leave_percent=10)
    journal = two.project.journal
    journal.take_calls("crm", "people_to_crm", 1, Allowance(), Quota(800, 1000))
    found = two.json("status")["destinations"][0]
    assert (found["calls"], found["budget"], found["calls_left"], found["spent"]) == (1, 5, 4, None)
    assert (found["vendor_used"], found["vendor_limit"], found["left_for_others_percent"]) == (800, 1000, 10)
    for _ in range(4):
        journal.take_calls("crm", "people_to_crm", 1, Allowance())
    assert "the day's budget of 5 requests to crm is used up" in " ".join(two.ok("status").split())


def test_an_account_that_asked_to_be_left_alone(two: Office) -> None:
    journal = two.project.journal
    journal.hold("crm", journal.clock() + 600)
    journal.hold("hook/events", journal.clock() + 600)
    assert [hold["account"] for hold in two.json("status")["holds"]] == ["crm", "hook/events"]
    assert "hook/events asked to be left alone until 20" in two.ok("status")
    said = two.ok("resume", "--destination", "hook", "--who", "Kim", "--why", "The vendor says so")
    assert said == "No longer held: hook/events. The destination had asked to be left alone for a while.\n"
    assert [hold["account"] for hold in two.json("status")["holds"]] == ["crm"]
    assert two.run("resume", "--destination", "hook").exit_code == 1
    log = two.json("status")["kill_switch_log"]
    assert [(entry["action"], entry["scope"], entry["who"]) for entry in log] == [
        ("lift hold", "destination:hook", "Kim")
    ]


@heavy
def test_a_state_that_cannot_be_read_is_said(office: Office) -> None:
    office.sync("people_to_crm")
    office.build(("ada@shop.example", "Ada", "Bern"))
    office.ok("run", "--all")
    office.project.warehouse.state_file("people_to_crm").write_text("not a database " * 1_000)
    assert "people_to_crm.duckdb is damaged" in office.json("status")["syncs"][0]["state_problem"]
    assert "is damaged" in office.ok("status").replace("\n", " ")


@heavy
def test_names_and_ids_are_whole_on_a_narrow_terminal(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "people_to_the_crm_of_the_whole_company_and_of_all_its_daughters"
    office.sync(name)
    office.build(("ada@shop.example", "Ada", "Bern"))
    office.ok("run", "--all")
    office.sync(name, approval="always")
    office.build(("ada@shop.example", "Ada", "Graz"))
    office.run("run", "--all")
    for width in ("80", "40"):
        monkeypatch.setenv("COLUMNS", width)
        for words in (("status",), ("run", "--all"), ("forget", "ada@shop.example")):
            said = office.run(*words).output
            assert "…" not in said
            assert name in said
        plan, run = (office.json("status")[key][0] for key in ("waiting_plans", "syncs"))
        lines = office.ok("status").splitlines()
        assert f"  run {run['run'][:8]}" in lines
        assert any(plan["plan"] in line for line in lines)
        assert f"used today {name}" in lines
        assert "  created -" in lines
    monkeypatch.setenv("COLUMNS", "160")
    assert any(line.strip().startswith(name) and "guarded" in line for line in office.ok("status").splitlines())
