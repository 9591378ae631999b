"""`reverse-etl approve`: let out a plan that waits, and no other."""

import getpass
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.errors import ENDED, exit_code
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.journal.records import WaitingPlan
    from reverse_etl_assets.runs.report import Report


def approve(
    plan: Annotated[str, typer.Argument(help="The plan's id.")],
    who: Annotated[str, typer.Option(default_factory=getpass.getuser, show_default="you", help="Who approves.")],
    why: Annotated[str, typer.Option(help="The reason, for the log and for whoever asks.")] = "",
    run: Annotated[bool, typer.Option("--run", help="Run the sync at once; it sends this plan or nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let the next run send exactly this plan; if anything has changed by then, it sends nothing and says what."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import print_json
    from reverse_etl_assets.cli.status import plan_status

    if not why:
        raise typer.BadParameter("say why: whoever asks later will want to know.", param_hint="--why")
    deployed = Deployed()
    if run:
        _refuse_what_cannot_run(deployed, plan)
    approved = deployed.project.journal.approve(plan, who, why)
    if run:
        _run(deployed, approved, json=json)
    elif json:
        print_json(plan_status(approved))
    else:
        say(f"Approved: plan {plan} of {approved.sync}. {_sent_by(deployed, approved)} sends it, if it plans the same.")


def _sent_by(deployed: "Deployed", approved: "WaitingPlan") -> str:
    run = deployed.project.journal.run(approved.run_id)
    return f"Another `reverse-etl undo {run.undoes}`" if run and run.undoes else "The next run"


def _refuse_what_cannot_run(deployed: "Deployed", plan_id: str) -> None:
    """Before the approval is given."""
    from reverse_etl_assets.previews.kept_plan import find_plan

    sync = deployed.sync(deployed.project.journal.plan(plan_id).sync)
    find_plan(deployed.project.journal, sync, plan_id)
    deployed.account(sync)


def _run(deployed: "Deployed", approved: "WaitingPlan", *, json: bool) -> None:
    from reverse_etl_assets.cli.run import finish, run_one

    reports: list[Report] = []
    errors: dict[str, str] = {}
    try:
        run_one(deployed, deployed.sync(approved.sync), reports, errors, plan_id=approved.plan_id)
    except ENDED as ended:
        if not reports:
            raise
        with suppress(typer.Exit):
            finish(deployed, reports, errors, json=json)
        raise typer.Exit(exit_code(ended)) from None
    finish(deployed, reports, errors, json=json)
