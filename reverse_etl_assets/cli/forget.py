"""`reverse-etl forget`: take what is known of a person out of the states of all syncs and out of the journal."""

import getpass
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.completion import sync_names
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.destinations.base import Account
    from reverse_etl_assets.runs.forget import Forgotten, Known, Subject
    from reverse_etl_assets.spec.sync import Sync


def forget(
    key: Annotated[str, typer.Argument(help="The row's primary key; case does not matter. Two columns: `a|b`.")],
    who: Annotated[str, typer.Option(default_factory=getpass.getuser, show_default="you", help="Who does it.")],
    sync: Annotated[
        list[str] | None, typer.Option(help="Only this sync; may be given again. Else all.", autocompletion=sync_names)
    ] = None,
    at_destinations: Annotated[
        bool, typer.Option("--at-destinations", help="Delete the records at the destinations first.")
    ] = False,
    permanently: Annotated[
        bool,
        typer.Option(
            "--permanently",
            help="Delete them there for good, beyond restoring, as the GDPR asks: nobody can undo it.",
        ),
    ] = False,
    even_if_in_model: Annotated[
        bool, typer.Option("--even-if-in-model", help="Although the next run would send the row again.")
    ] = False,
    why: Annotated[str, typer.Option(help="The reason, for the log; without the key.")] = "a person is to be forgotten",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; without --yes of what would be purged.")] = False,
) -> None:
    """Purge a person from the states of the syncs and from the journal, for good. Lists what there is, and asks first.

    Exit code 1 if no sync knows the key, if a model still holds it, or if a record could not be deleted.
    """
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.runs.forget import Forgetting, Refused

    if key.lower() in why.lower():
        raise typer.BadParameter("the log keeps the reason, so it must not hold the key.", param_hint="--why")
    deployed = Deployed()
    subjects = _subjects(deployed, sync or ())
    forgetting = Forgetting(key, subjects, deployed.project.environment)
    found = [known for known in forgetting.look() if known.rows or known.in_model]
    at_destinations |= permanently
    _agreed(found, _question(at_destinations, permanently), yes=yes, even_if_in_model=even_if_in_model, json=json)
    if at_destinations:
        _need_credentials(deployed, subjects, found)
    try:
        forgotten = Forgetting(key, subjects, deployed.project.environment).go(
            who=who,
            why=why,
            at_destinations=at_destinations,
            permanently=permanently,
            even_if_in_model=even_if_in_model,
        )
    except Refused as refusal:
        say(str(refusal), fg="red", err=True)
        raise typer.Exit(1) from None
    _show_forgotten(deployed, forgotten, json=json, permanently=permanently)
    _end(found, forgotten, at_destinations=at_destinations, json=json)


def _agreed(found: "Sequence[Known]", question: str, *, yes: bool, even_if_in_model: bool, json: bool) -> None:
    """Show what there is and ask, unless the answer was given before. Ends the command if nothing is to be purged."""
    from reverse_etl_assets.runs.forget import still_sent

    refused = [] if even_if_in_model else [message for known in found if (message := still_sent(known))]
    if found and yes and not refused:
        return
    _show_known(found, refused, json=json)
    if not found or refused or json:
        raise typer.Exit(1)
    typer.confirm(question, abort=True)


def _end(found: "Sequence[Known]", forgotten: "Sequence[Forgotten]", *, at_destinations: bool, json: bool) -> None:
    """Exit code 1 if anything is left of the person."""
    if not forgotten and not json:
        models = ", ".join(known.sync for known in found)
        say(f"Nothing is left to purge. The models of {models} still hold the key, and the next run sends the person.")
    left = any(each.deletion.left or (at_destinations and each.known.left) for each in forgotten)
    if left or not all(each.purged for each in forgotten):
        raise typer.Exit(1)


def _subjects(deployed: "Deployed", names: Sequence[str]) -> "list[Subject]":
    """The named syncs; else all, with those that were removed and left their state."""
    from reverse_etl_assets.runs.forget import Subject

    project = deployed.project
    states = {file.stem for file in project.warehouse.state_folder.glob("*.duckdb")}
    removed = sorted(states - project.syncs.keys())
    present = [name for name in names if name not in removed]
    chosen = deployed.chosen(present) if present or not names else []
    subjects = [Subject(sync.sync, sync, _account(deployed, sync)) for sync in chosen]
    return subjects + [Subject(name) for name in removed if not names or name in names]


def _account(deployed: "Deployed", sync: "Sync") -> "Account":
    from reverse_etl_assets.errors import ConfigurationError

    try:
        return deployed.account(sync)
    except ConfigurationError:  # only a deletion needs them
        return deployed.account_without_credentials(sync)


def _need_credentials(deployed: "Deployed", subjects: "Sequence[Subject]", found: "Sequence[Known]") -> None:
    """Raises ConfigurationError if those of a sync that knows the key are missing."""
    known = {each.sync for each in found}
    for subject in subjects:
        if subject.sync and subject.name in known:
            deployed.account(subject.sync)


def _question(at_destinations: bool, permanently: bool) -> str:
    if permanently:
        return (
            "Delete the records at the destinations for good, so that neither `reverse-etl undo` nor the destination"
            " itself can bring them back, and purge all of this for good?"
        )
    records = "Delete the records at the destinations, and purge" if at_destinations else "Purge"
    return f"{records} all of this for good?"


def _show_known(found: "Sequence[Known]", refused: Sequence[str], *, json: bool) -> None:
    from reverse_etl_assets.cli.output import console, number, print_json, show_table, table

    if json:
        print_json({"syncs": [_known_as_json(known) for known in found], "refused": refused})
        return
    if not found:
        say("No sync knows the key: it is in no state, and in no model.")
        return
    rows = table("sync", "table", "rows", right=("rows",), whole=("sync", "table"))
    for known in found:
        for name, count in known.rows.items():
            rows.add_row(known.sync, name, number(count))
        rows.add_row(known.sync, "runs in the journal", number(len(known.runs)))
    show_table(console(), rows)
    for message in refused:
        say(f"Nothing was purged: {message}", fg="red", err=True)


def _show_forgotten(deployed: "Deployed", forgotten: "Sequence[Forgotten]", *, json: bool, permanently: bool) -> None:
    from reverse_etl_assets.cli.output import print_json

    if json:
        print_json({"syncs": [_forgotten_as_json(deployed, each, permanently) for each in forgotten]})
        return
    for each in forgotten:
        for sentence in _sentences(deployed, each, permanently):
            say(f"{each.known.sync}: {sentence}")
    if any(each.purged for each in forgotten) and not deployed.project.journal.database.is_sqlite:
        say("PostgreSQL frees what was deleted from the journal at its next vacuum.")


def _sentences(deployed: "Deployed", each: "Forgotten", permanently: bool) -> list[str]:
    known, sync = each.known, deployed.project.syncs.get(each.known.sync)
    sentences = []
    for outcome in each.deletion.outcomes:
        ids = [outcome.destination_id] if outcome.destination_id else each.deletion.known_ids
        name = f" ({', '.join(ids)})" if ids else ""
        gone = outcome.reason == "already_gone"
        what = "gone already" if gone else f"{outcome.status} for good" if permanently else outcome.status
        sentences.append(f"the record{name} was {what}.")
    if sync and each.deletion.outcomes:
        sentences += _what_is_kept(deployed, sync, each, permanently)
    if sync and each.deletion.left:
        ids = ", ".join(each.deletion.left)
        sentences.append(
            f"`{sync.destination}` may still hold {sync.object} {ids}, deleted before in a way that can be undone"
            " there: restore it and delete it for good by hand, for nothing here knows it any more."
        )
    for row in known.left:
        name = f" {row.destination_id}" if row.destination_id else ""
        where = f"{row.destination} {row.object}{name}"
        sentences.append(f"version {row.version} left a record in {where}: delete it there.")
    if not each.purged:
        sentences.append(f"NOT purged, for the record is needed to try again: {each.deletion.problem}")
        return sentences
    sentences.append(f"purged {sum(known.rows.values()):,} rows of its state, and what its runs kept in the journal.")
    if known.in_model:
        sentences.append("its model still holds the key, and the next run sends the person again.")
    return [*sentences, *_in_dagster(deployed, known, sync)]


def _what_is_kept(deployed: "Deployed", sync: "Sync", each: "Forgotten", permanently: bool) -> list[str]:
    kind = deployed.destinations[sync.destination].destination_type
    if not any(outcome.status == "deleted" for outcome in each.deletion.outcomes):
        if permanently and kind.after_deletion:
            return [f"Who deleted it before may have left something to restore. {kind.after_deletion}"]
        return []
    kept = kind.after_erasure if permanently and kind.after_erasure else kind.after_deletion
    return [kept] if kept else []


def _in_dagster(deployed: "Deployed", known: "Known", sync: "Sync | None") -> list[str]:
    """What is left there, for a key that is not masked."""
    runs = sorted({run.partition("/")[0] for run in known.runs if run.partition("/")[2].startswith(known.sync)})
    if (sync and any(deployed.project.mask(sync).key_parts)) or not (runs or os.environ.get("DAGSTER_HOME")):
        return []
    asset = f"{sync.destination}/{sync.sync}" if sync else f"<destination>/{known.sync}"
    why = "Dagster's events show some keys of each run, and this one is not marked as personal data. To purge them:"
    return [why, *(f"  dagster run delete {run}" for run in runs), f"  dagster asset wipe {asset}"]


def _known_as_json(known: "Known") -> dict[str, Any]:
    return {**vars(known), "left": [vars(row) for row in known.left]}


def _forgotten_as_json(deployed: "Deployed", each: "Forgotten", permanently: bool) -> dict[str, Any]:
    records = [
        {"status": o.status, "reason": o.reason, "destination_id": o.destination_id} for o in each.deletion.outcomes
    ]
    return {
        **_known_as_json(each.known),
        "purged": each.purged,
        "records": records,
        "may_be_left": list(each.deletion.left),
        "problem": each.deletion.problem,
        "said": _sentences(deployed, each, permanently),
    }
