"""`reverse-etl new sync`: a first draft of a sync, from the built table and the destination's own fields."""

from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.completion import destination_names
from reverse_etl_assets.cli.terminal import help_style, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.draft import Draft
    from reverse_etl_assets.destinations.schema import Field

new = typer.Typer(
    no_args_is_help=True, help="Begin something: `new sync` writes a first draft of a sync.", **help_style()
)


@new.callback()
def _new() -> None:
    """So that `sync` stays a word of its own."""


@new.command()
def sync(
    model: Annotated[str, typer.Argument(help="A dbt model that is built, as a sync would name it.")],
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="DESTINATION", help="One of the project's destinations.", autocompletion=destination_names
        ),
    ],
    object_: Annotated[
        str, typer.Option("--object", metavar="NAME", help="As the destination calls it: `contacts`, `Contact`.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="Of the sync and its file.")] = "",
) -> None:
    """Write a draft: columns of the table, a key from a unique test, the nearest fields of the destination."""
    import os

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.errors import ConfigurationError

    deployed = Deployed()
    draft = _draft(deployed, model, to, object_)
    folder = deployed.project.syncs_folder
    file = folder / f"{_sync_name(name, to, draft.model.plain_name)}.yml"
    fields, why_not = _fields(deployed, draft)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(draft.text(fields))
    except FileExistsError:
        raise ConfigurationError(f"{file} is there already; choose another --name.") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from None
    say(f"wrote {os.path.relpath(file)}")
    if why_not:
        say(f"! {to} was not asked for its fields, so they are called as the columns: {why_not}", err=True)
    if problems := _problems(deployed, file):
        say("To be filled in:\n" + "\n".join(f"  {each}" for each in problems))
    say(f"Next: reverse-etl check {file.stem}, then reverse-etl plan {file.stem}")


def _sync_name(given: str, to: str, model: str) -> str:
    """Also the file's. Raises ConfigurationError for one that no sync can have, such as a path."""
    import re

    from pydantic import TypeAdapter, ValidationError

    from reverse_etl_assets.errors import ConfigurationError
    from reverse_etl_assets.spec.sync import Name

    try:
        return str(TypeAdapter(Name).validate_python(given or re.sub(r"[^A-Za-z0-9_]+", "_", f"{to}_{model}")))
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"--name {given or model}: {why}") from None


def _draft(deployed: "Deployed", name: str, to: str, wanted: str) -> "Draft":
    """Raises a ReverseEtlError for what is not there."""
    from reverse_etl_assets.cli.draft import Draft, usual_object
    from reverse_etl_assets.destinations.registry import registered_name
    from reverse_etl_assets.errors import ConfigurationError, SpecError
    from reverse_etl_assets.spec.yaml_source import did_you_mean

    if (destination := deployed.destinations.get(to)) is None:
        raise ConfigurationError(f"--to: there is no destination `{to}`{did_you_mean(to, deployed.destinations)}")
    project = deployed.project
    if name not in project.models:
        raise SpecError(f"there is no model `{name}`{did_you_mean(name, project.models)}")
    kind = registered_name(destination.destination_type)
    model = project.models[name]
    if not (chosen := wanted or usual_object(kind, model)):
        raise ConfigurationError(f"--object is missing: what is written at {to}, as {kind} calls it.")
    with project.warehouse.open(f"draft_of_{to}", models=True) as con:
        columns = project.warehouse.column_types(con, model)
    return Draft(name, model, to, kind, chosen, columns)


def _fields(deployed: "Deployed", draft: "Draft") -> "tuple[Mapping[str, Field], str]":
    """The fields of the destination's object; or none, and why they are not known."""
    import asyncio

    from pydantic import ValidationError

    from reverse_etl_assets.cli.check import ask
    from reverse_etl_assets.destinations.schema import noticed
    from reverse_etl_assets.errors import CheckFailed, ReverseEtlError
    from reverse_etl_assets.spec.route import Route
    from reverse_etl_assets.spec.sync import Sync
    from reverse_etl_assets.warehouses.columns import Columns

    with noticed() as fields:
        try:
            sync = Sync.model_validate(draft.asking())
            account = deployed.account(sync)
            columns = Columns.on(Route(sync, account.type), draft.columns)
            asyncio.run(ask(deployed.project.journal, sync, account, columns))
        except CheckFailed as error:  # as it has to be: most columns are no fields
            return dict(fields), "" if fields else error.problems[0]
        except (ReverseEtlError, ValidationError) as error:
            return dict(fields), str(error).splitlines()[0]
        return dict(fields), "" if fields else "it has no fields of its own"


def _problems(deployed: "Deployed", file: "Path") -> list[str]:
    """What a person has to say yet before the sync loads."""
    from reverse_etl_assets.errors import SpecError
    from reverse_etl_assets.spec.loading import load_sync
    from reverse_etl_assets.spec.yaml_source import YamlSource

    try:
        load_sync(YamlSource(file), deployed.project.models, deployed.project.destinations)
    except SpecError as error:
        return str(error).splitlines()
    return []
