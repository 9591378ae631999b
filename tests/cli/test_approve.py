"""A plan that waits, from the command line: look at it, approve it, send exactly it."""

import json

import pytest

from reverse_etl_assets.journal.records import PlanStatus
from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import CONTACTS, Office
from tests.heavy import heavy

ADA, BOB, EVE = ("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz"), ("eve@shop.example", "E", "")
GUARDS = {**CONTACTS["guards"], "max_removed": {"rows": 0}}


@pytest.fixture
def waiting(office: Office) -> Office:
    """A plan waits, for it would delete Bob."""
    office.sync("people_to_crm")
    office.build(ADA, BOB)
    office.ok("run", "--all")
    office.sync("people_to_crm", guards=GUARDS)
    office.build((ADA[0], "Ada", "Rome"), EVE)
    assert office.run("run", "people_to_crm").exit_code == 1
    return office


def plan_id(office: Office) -> str:
    (plan,) = office.project.journal.waiting_plans("people_to_crm")
    return plan.plan_id


def names(sandbox: Sandbox) -> set[str]:
    return {entry.values["email"].split("@")[0] for entry in sandbox.hubspot.tables["contacts"].live()}


def test_a_run_that_is_held_back_says_what_to_do(waiting: Office) -> None:
    said = waiting.run("run", "people_to_crm").output
    assert f"Look at it: reverse-etl plan people_to_crm --show {plan_id(waiting)}" in said
    assert f'Send it:    reverse-etl approve {plan_id(waiting)} --why "..." --run' in said
    (run,) = waiting.json("run", "people_to_crm")["runs"]
    assert (run["plan"], run["waits"]) == (plan_id(waiting), True)


def test_look_approve_and_run(waiting: Office, sandbox: Sandbox) -> None:
    said = waiting.ok("plan", "people_to_crm", "--show", "waiting")
    assert "- bob@shop.example  removed, delete" in said
    assert "Guard max_removed: 1 removed; the limit is 0 rows" in said
    assert f"Plan {plan_id(waiting)}." in said
    approved = waiting.ok("approve", plan_id(waiting), "--why", "Bob has left", "--who", "Kim")
    assert (
        approved
        == f"Approved: plan {plan_id(waiting)} of people_to_crm. The next run sends it, if it plans the same.\n"
    )
    assert names(sandbox) == {"ada", "bob"}
    assert "Approved by Kim: Bob has left" in waiting.ok("plan", "people_to_crm")
    assert waiting.json("plan", "people_to_crm")["goes_out"] is True
    waiting.ok("run", "people_to_crm")
    assert names(sandbox) == {"ada", "eve"}


@heavy
def test_approve_and_run_at_once(waiting: Office, sandbox: Sandbox) -> None:
    found = waiting.json("approve", plan_id(waiting), "--why", "Bob has left", "--run")
    assert [(run["status"], run["counts"]["deleted"]) for run in found["runs"]] == [("done", 1)]
    assert names(sandbox) == {"ada", "eve"}


@heavy
def test_at_once_sends_that_plan_or_nothing(waiting: Office, sandbox: Sandbox) -> None:
    """Also where no guard holds the other plan back."""
    waiting.build((ADA[0], "Ada", "Paris"), BOB)
    result = waiting.run("approve", plan_id(waiting), "--why", "Bob has left", "--run")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "does not hold: the data changed (1 delete, 2 upsert, now 1 upsert)" in said
    assert names(sandbox) == {"ada", "bob"}


@heavy
def test_every_row_as_it_was_kept(waiting: Office) -> None:
    people = [(f"p{n:03}@shop.example", f"P{n}", "Rome") for n in range(50)]
    waiting.build(ADA, *people)
    waiting.run("run", "people_to_crm")
    kept = plan_id(waiting)
    waiting.build(ADA, BOB)  # the model goes on, the plan stays as it was
    found = waiting.json("plan", "people_to_crm", "--show", kept, "--limit", "0")
    assert [row["key"] for row in found["rows"]] == [*(email for email, *_ in people), BOB[0]]
    assert found["rows"][0]["fields"]["firstname"] == {"before": None, "after": "P0"}
    assert found["rows"][-1]["fields"]["firstname"] == {"before": "Bob", "after": None}
    assert (found["plan"], found["counts"]["added"], found["to_send"]) == (kept, 50, {"delete": 1, "upsert": 50})
    assert found["waiting"]["status"] == "waiting"
    assert found["waiting"]["run"] == waiting.project.journal.plan(kept).run_id
    assert [guard["guard"] for guard in found["guards"]] == ["max_removed"]
    assert len(waiting.json("plan", "people_to_crm", "--show", kept)["rows"]) == 20


@heavy
def test_status_names_plans_that_wait(waiting: Office) -> None:
    (plan,) = waiting.json("status")["waiting_plans"]
    assert (plan["plan"], plan["status"]) == (plan_id(waiting), "waiting")
    assert "reverse-etl plan people_to_crm --show waiting" in waiting.ok("status")


@heavy
def test_forecast(waiting: Office) -> None:
    waiting.sync("people_to_crm", guards=GUARDS, cost={"per_call": 2, "per_row": 0.5})
    found = waiting.json("plan", "people_to_crm")
    forecast = found["forecast"]
    assert (forecast["writes"], forecast["reads"], forecast["verifies"]) == (2, 2, 1), "upserts and deletes, each read"
    assert (forecast["calls"], forecast["full_sync"], forecast["saved"]) == (5, 1, 0)
    assert forecast["cost"] == 2 * 5 + 0.5 * 3
    assert found["calls_today"] == waiting.project.journal.usage()[0].calls == found["vendor_used"]
    assert found["calls_left"] == found["vendor_limit"] * 0.8 - found["vendor_used"]
    said = " ".join(waiting.ok("plan", "people_to_crm").split())
    assert "5 requests: 2 to write, 2 to read before, 1 to verify; a full sync would take 1 at least (0 saved)." in said
    assert "Cost: 11.50." in said
    assert f"made to crm today, {found['calls_left']:,} are left; crm itself counts" in said


@heavy
def test_a_run_takes_what_the_forecast_says(waiting: Office) -> None:
    """But for the check of the object's fields, of which the first run of the day makes one."""
    forecast = waiting.json("plan", "people_to_crm")["forecast"]
    (run,) = waiting.json("approve", plan_id(waiting), "--why", "Bob has left", "--run")["runs"]
    assert run["calls"] == forecast["calls"]


class TestMistakes:
    @heavy
    def test_no_reason(self, waiting: Office) -> None:
        result = waiting.run("approve", plan_id(waiting))
        assert result.exit_code == 2
        assert "say why" in result.output

    @heavy
    def test_an_unknown_id(self, waiting: Office) -> None:
        result = waiting.run("approve", "0123456789abcdef", "--why", "x")
        assert result.exit_code == 2
        assert f"there is no plan 0123456789abcdef; waiting now: {plan_id(waiting)} (people_to_crm)" in result.stderr

    @heavy
    def test_approved_already(self, waiting: Office) -> None:
        waiting.ok("approve", plan_id(waiting), "--why", "x", "--who", "Kim")
        result = waiting.run("approve", plan_id(waiting), "--why", "x")
        assert result.exit_code == 2
        assert "is approved already, by Kim" in result.stderr

    @heavy
    def test_sent_already(self, waiting: Office) -> None:
        plan = plan_id(waiting)
        waiting.ok("approve", plan, "--why", "x", "--run")
        result = waiting.run("approve", plan, "--why", "x", "--run")
        assert result.exit_code == 2
        assert "was sent already, by run" in result.stderr

    @heavy
    def test_out_of_date(self, waiting: Office) -> None:
        plan = plan_id(waiting)
        waiting.build((ADA[0], "Ada", "Oslo"))
        waiting.run("run", "people_to_crm")
        result = waiting.run("approve", plan, "--why", "x")
        assert result.exit_code == 2
        assert f"is out of date, a later run planned something else; waiting now: {plan_id(waiting)}" in result.stderr

    @heavy
    def test_what_cannot_run_is_not_approved(self, waiting: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OFFICE_CRM_TOKEN")
        result = waiting.run("approve", plan_id(waiting), "--why", "x", "--run")
        assert result.exit_code == 2
        assert "OFFICE_CRM_TOKEN" in result.stderr
        assert waiting.project.journal.plan(plan_id(waiting)).status is PlanStatus.WAITING

    @heavy
    def test_a_plan_of_another_sync(self, waiting: Office) -> None:
        waiting.sync("people_too", mapping={"email": "email"}, object="companies", external_id="domain")
        result = waiting.run("plan", "people_too", "--show", plan_id(waiting))
        assert result.exit_code == 2
        assert f"plan {plan_id(waiting)} is of people_to_crm, not of people_too" in result.stderr

    @heavy
    def test_nothing_waits(self, waiting: Office) -> None:
        waiting.ok("approve", plan_id(waiting), "--why", "x", "--run")
        result = waiting.run("plan", "people_to_crm", "--show", "waiting")
        assert result.exit_code == 2
        assert "no plan of people_to_crm waits" in result.stderr


class TestMarkdown:
    @heavy
    def test_what_a_reviewer_needs(self, waiting: Office) -> None:
        said = waiting.ok("plan", "people_to_crm", "--markdown")
        assert said.startswith("## people\\_to\\_crm: 1 delete, 2 upsert in 2 requests\n")
        assert "| 1 | 1 | 1 | 0 | 0 | 0 |" in said
        assert "| **max_removed** | 1 removed; the limit is 0 rows |" in said
        assert "| `city` | 1 |  |" in said
        assert "| ~ `ada@shop.example` upsert | `city` | `Bern` | `Rome` |" in said
        assert "### 3 of 3 rows" in said
        assert "- 5 requests: 2 to write" in said
        assert f'reverse-etl approve {plan_id(waiting)} --why "..." --run' in said
        assert f'approve: "{plan_id(waiting)}"\n' in said

    @heavy
    def test_before_a_run_has_kept_the_plan(self, waiting: Office) -> None:
        waiting.build((ADA[0], "Ada", "Oslo"))
        said = waiting.ok("plan", "people_to_crm", "--markdown")
        assert "A run now would send nothing and keep this plan for a decision." in said

    @heavy
    def test_a_plan_that_needs_nobody(self, waiting: Office) -> None:
        waiting.build(ADA, BOB, EVE)
        said = waiting.ok("plan", "people_to_crm", "--markdown")
        assert "It goes out." in said
        assert "reverse-etl approve" not in said

    @heavy
    def test_personal_data(self, waiting: Office) -> None:
        manifest = waiting.dbt_folder / "target" / "manifest.json"
        found = json.loads(manifest.read_text())
        found["nodes"]["model.shop.people"]["columns"]["email"]["meta"] = {"pii": "email"}
        manifest.write_text(json.dumps(found))
        waiting.sync("people_to_crm", guards=GUARDS, allow_pii={"email": "They are matched by it."})
        waiting.project.__dict__.pop("models", None)
        assert "shop.example" not in waiting.ok("plan", "people_to_crm", "--markdown")
        assert "`ada@shop.example`" in waiting.ok("plan", "people_to_crm", "--markdown", "--reveal")

    @heavy
    def test_not_with_json(self, waiting: Office) -> None:
        assert waiting.run("plan", "people_to_crm", "--markdown", "--json").exit_code == 2
