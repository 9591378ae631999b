"""`run`, `check`, `status`, `stop`, `resume`: what they print, and their exit codes."""

import subprocess
import sys
from importlib.metadata import version

import dagster as dg
import pytest

from reverse_etl_assets.cli import app
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.orchestration.vendor_resources import ZendeskResource
from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, EVENTS, Office
from tests.heavy import heavy

CHECKS = ("guards", "row_count_anomaly", "delivery", "held_and_quarantined", "verified_delivery")
ADA, BOB = ("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz")


@pytest.fixture
def two(office: Office) -> Office:
    """Two syncs that have not run yet."""
    office.sync("events", EVENTS)
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    return office


@pytest.mark.parametrize(("words", "more"), [(["--help"], {"pydantic"}), (["check", "--help"], set())])
def test_help_imports_no_engine(words: list[str], more: set[str]) -> None:
    """Nor does completion, which imports the same. Typer reads a command's own options with pydantic."""
    engines = {"asyncio", "dagster", "dbt", "duckdb", "httpx", "pyarrow", "sqlalchemy", "yaml", *more}
    code = (
        f"import sys; from reverse_etl_assets.cli import app; app({words}, standalone_mode=False);"
        f"sys.exit(' '.join(sys.modules.keys() & {engines}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.strip() == ""
    assert "Usage" in run.stdout


def test_which_release_this_is(capsys: pytest.CaptureFixture[str]) -> None:
    app(["--version"], standalone_mode=False)
    assert capsys.readouterr().out == f"{version('reverse-etl-assets')}\n"


def test_run_all(two: Office, sandbox: Sandbox) -> None:
    found = two.json("run", "--all")
    assert [(run["sync"], run["status"], run["counts"]["created"]) for run in found["runs"]] == [
        ("events", "done", 2),
        ("people_to_crm", "done", 2),
    ]
    assert found["errors"] == {}
    assert sandbox.counts()["hubspot"]["objects"]["contacts"]["records"] == 2


def test_run_one_prints_a_table(two: Office) -> None:
    said = two.ok("run", "people_to_crm")
    assert "people_to_crm" in said
    assert "done" in said
    assert "events" not in said


def test_a_terminal_gets_a_bar_while_rows_go_out(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # what is printed to is taken for a terminal
    shown = two.ok("run", "people_to_crm")
    assert "planning" in shown
    assert "2 created" in shown


@heavy
def test_run_prints_reasons(two: Office) -> None:
    two.build(ADA, (None, "Eve", "Oslo"), ("no address", "Joe", "Rome"))
    said = two.ok("run", "people_to_crm")
    assert "1 failed invalid: the primary key (email) is empty" in said
    assert "INVALID_EMAIL" in said


@heavy
def test_run_with_too_many_failures(two: Office) -> None:
    two.sync("people_to_crm", max_failed={"rows": 0})
    two.build(ADA, ("no address", "Joe", "Rome"))
    result = two.run("run", "people_to_crm")
    assert result.exit_code == 1
    assert "1 of 2 rows failed, more than max_failed allows" in result.output


def test_run_stopped_by_a_guard(two: Office, sandbox: Sandbox) -> None:
    two.build()
    result = two.run("run", "people_to_crm")
    assert result.exit_code == 1
    assert "empty_model: the model has no rows" in result.output
    assert sandbox.log.lines("hubspot", 0) == []


@heavy
def test_run_goes_on_after_an_error(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_HOOK_URL")
    result = two.run("run", "--all")
    assert result.exit_code == 1
    assert "events: destination hook: base_url needs the environment variable OFFICE_HOOK_URL" in result.output
    assert "done" in result.output


def test_run_of_an_unknown_sync(two: Office) -> None:
    result = two.run("run", "people_to_cmr")
    assert result.exit_code == 2
    assert result.stderr == "Error: there is no sync `people_to_cmr`; did you mean `people_to_crm`?\n"


@pytest.mark.parametrize("words", [(), ("events", "--all")])
def test_run_wants_names_or_all(two: Office, words: tuple[str, ...]) -> None:
    assert two.run("run", *words).exit_code == 2


@heavy
def test_run_brings_home_a_killed_run(two: Office) -> None:
    two.project.journal.start_run("killed", "people_to_crm", "crm")
    assert "folded in the answers of run killed, which had no end" in two.ok("run", "people_to_crm")


def colours(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, bool]:
    """Whether each check passed the last time."""
    latest = {}
    for name in CHECKS:
        check = dg.AssetCheckKey(key, name)
        (found,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
        assert isinstance(found.evaluation, dg.AssetCheckEvaluation)
        latest[name] = found.evaluation.passed
    return latest


@heavy
def test_run_shows_in_dagster(two: Office, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    home = two.home / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    two.sync("people_to_crm", max_failed={"percent": 5})
    sandbox.fault("refuse_rows", vendor="hubspot", percent=100)
    assert two.run("run", "people_to_crm").exit_code == 1
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetKey(["crm", "people_to_crm"])
        assert instance.get_latest_materialization_event(key) is None
        (seen,) = instance.fetch_observations(key, limit=5).records
        assert colours(instance, key) == {**dict.fromkeys(CHECKS, True), "delivery": False}
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["failed"].value == 2
    two.ok("stop", "--all", "--why", "a look")
    assert two.run("run", "people_to_crm").exit_code == 1
    with dg.DagsterInstance.get() as instance:
        latest = instance.fetch_observations(key, limit=1).records[0].asset_observation
        assert latest is not None
        assert "kill_switch" in str(latest.metadata["nothing was sent"].value)
        assert colours(instance, key) == {**dict.fromkeys(CHECKS, True), "delivery": False, "guards": False}
    two.ok("resume", "--all", "--why", "looked")
    sandbox.faults.clear()
    two.ok("run", "people_to_crm")
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(key)
        assert colours(instance, key) == dict.fromkeys(CHECKS, True)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["created"].value == 2


def test_broken_files_are_named(two: Office) -> None:
    two.sync("people_to_crm", sync_mod="mirror")
    result = two.run("status")
    assert result.exit_code == 2
    assert "people_to_crm.yml:" in result.stderr
    assert "did you mean `sync_mode`?" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dbt/target/manifest.json", b"[]"),
        ("dbt/target/manifest.json", b"\xff\xfe{}"),
        ("dbt/target/manifest.json", b'{"nodes": []}'),
        ("dbt/target/manifest.json", b'{"nodes": {"m": 3}}'),
        ("dbt/target/manifest.json", b'{"nodes": {"m": {"resource_type": "model"}}}'),
        ("dbt/profiles.yml", b"\xff\xfe"),
        ("dbt/profiles.yml", b"shop: {target: a, outputs: {a: {}}}"),
        ("dbt/profiles.yml", b"shop: {target: a, outputs: {a: {type: duckdb, path: }}}"),
        ("syncs/bad.yml", b"model: \x1b[2J\n"),
        ("syncs/bad.yml", b"model: a\x00b\n"),
        ("syncs/bad.yml", b"model: M\xfcller\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(two: Office, file: str, content: bytes) -> None:
    (two.home / file).write_bytes(content)
    two.forget()
    for known in ("models", "target_models", "profile"):
        two.project.__dict__.pop(known, None)
    reads_models = file == "dbt/profiles.yml"  # which is nobody else's affair
    result = two.run("plan", "people_to_crm") if reads_models else two.run("status")
    assert result.exit_code == 2
    assert f"Error: {two.home / file}" in result.output or f"manifest at {two.home / file} cannot be" in result.output


def test_unknown_deployment(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVERSE_ETL_DEPLOYMENT", "nowhere")
    result = two.run("status")
    assert result.exit_code == 2
    assert "No module named 'nowhere'" in result.stderr


def test_check_is_quiet_when_all_is_well(two: Office, sandbox: Sandbox) -> None:
    assert two.ok("check").splitlines() == ["ok events", "ok people_to_crm"]
    assert sandbox.counts()["hubspot"]["objects"]["contacts"]["created"] == 0


def test_check_names_every_problem(two: Office) -> None:
    two.sync("people_to_crm", {**CONTACTS, "mapping": {"email": "email", "frstname": "name", "hs_object_id": "city"}})
    result = two.run("check")
    assert result.exit_code == 1
    assert "ok events" in result.output
    assert "`contacts` has no field `frstname`; the nearest is `firstname`" in result.output.replace(
        "property", "field"
    )
    assert "hs_object_id" in result.output


def test_check_names_column_and_types_of_what_never_fits(two: Office) -> None:
    two.sync("people_to_crm", {**CONTACTS, "mapping": {"email": "email", "lead_score": "city"}})
    said = "Field `lead_score` is of type number, and column `city` sends text: cast the column to integer or decimal"
    assert said in two.json("check", "people_to_crm")["problems"]["people_to_crm"][0]


def test_check_names_missing_credentials(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_CRM_TOKEN")
    problems = two.json("check", "people_to_crm")["problems"]
    assert problems == {
        "people_to_crm": [
            "destination crm: access_token needs the environment variable OFFICE_CRM_TOKEN; it is not set."
        ]
    }


def test_check_with_a_wrong_token(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFICE_CRM_TOKEN", "not-a-token-of-anybody")
    result = two.run("check", "people_to_crm")
    assert result.exit_code == 1
    assert "not-a-token-of-anybody" not in result.output


def test_check_tells_what_will_not_work_for_long(
    two: Office, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFICE_DESK_TOKEN", "zendesk-token")
    two.destinations["desk"] = ZendeskResource(
        base_url=f"{sandbox.url}/zendesk", email="admin@shop.example", token=dg.EnvVar("OFFICE_DESK_TOKEN")
    )
    vars(two.project)["destinations"] = {**two.project.destinations, "desk": Zendesk}
    two.sync("people_to_desk", destination="desk", object="users", external_id="external_id", mapping={"name": "name"})
    said = two.ok("check", "people_to_desk")
    assert said.startswith("ok people_to_desk\n  ! Zendesk ends all API tokens on 2027-04-30")
    assert "zendesk-token" not in said
    [warning] = two.json("check", "people_to_desk")["warnings"]["people_to_desk"]
    assert "2027-04-30" in warning


def test_check_before_the_model_is_built(office: Office) -> None:
    office.sync("people_to_crm")
    assert "build the models with dbt" in office.json("check")["problems"]["people_to_crm"][0]


def test_stop_and_resume(two: Office, sandbox: Sandbox) -> None:
    two.ok("stop", "--destination", "crm", "--why", "Wrong prices", "--who", "Kim")
    found = two.json("run", "--all")
    assert [run["status"] for run in found["runs"]] == ["done", "guarded"]
    assert "stopped (destination:crm) by Kim: Wrong prices" in found["runs"][1]["problem"]
    two.ok("resume", "--destination", "crm")
    assert two.json("run", "people_to_crm")["runs"][0]["counts"]["created"] == 2


def test_resume_names_what_is_still_stopped(two: Office) -> None:
    two.ok("stop", "--all", "--why", "Audit", "--who", "Kim")
    two.ok("stop", "--sync", "events", "--why", "Noise", "--who", "Lee")
    assert "Still stopped: all, by Kim: Audit" in two.ok("resume", "--sync", "events")
    assert two.run("resume", "--sync", "events").exit_code == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("stop", "--all"), "say why"),
        (("stop", "--why", "x"), "give one of --all"),
        (("stop", "--all", "--sync", "events", "--why", "x"), "give one of --all"),
        (("stop", "--sync", "evnts", "--why", "x"), "did you mean `events`?"),
        (("stop", "--destination", "cmr", "--why", "x"), "did you mean `crm`?"),
    ],
)
def test_mistakes_with_the_switch(two: Office, words: tuple[str, ...], says: str) -> None:
    result = two.run(*words)
    assert result.exit_code == 2
    assert says in result.output
    assert two.project.journal.stops() == []


def test_stop_works_with_broken_files(two: Office) -> None:
    two.sync("people_to_crm", sync_mode="miror")
    two.ok("stop", "--sync", "people_to_crm", "--why", "It must end now")
    assert [stop.scope for stop in two.project.journal.stops()] == ["sync:people_to_crm"]


def test_status(two: Office) -> None:
    two.ok("run", "people_to_crm")
    two.ok("stop", "--sync", "events", "--why", "Too many", "--who", "Kim")
    found = two.json("status")
    events, people = found["syncs"]
    assert (events["status"], events["stopped"]["why"]) == (None, "Too many")
    assert (people["status"], people["counts"]["created"], people["stopped"]) == ("done", 2, None)
    assert [entry["action"] for entry in found["kill_switch_log"]] == ["stop"]
    assert [(used["sync"], used["rows"]) for used in found["usage_today"]] == [("people_to_crm", 2)]
    said = two.ok("status")
    assert "never" in said
    assert "stopped (sync:events) by Kim at 20" in said


def test_release_of_a_sync_that_never_ran(two: Office) -> None:
    result = two.run("release", "x", "--sync", "events")
    assert result.exit_code == 2
    assert two.run("release", "--sync", "events", "--arrived", "1").exit_code == 2
    assert two.json("release", "--sync", "events") == {"held": 0, "rows": []}
    assert not two.project.warehouse.state_file("events").exists()
