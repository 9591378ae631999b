"""`reverse-etl init`: what a project needs beside somebody's dbt project. Nothing that is there is touched."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLE = """\
# A sync, as soon as its name ends with .yml. `reverse-etl new sync MODEL --to {name}` writes one for a model of yours.
model: customers        # a dbt model; its table has to be built
destination: {name}
object: contacts        # as the destination calls it
primary_key: customer_id
mapping:                # field of the destination: column of the model
  email: email
  firstname: first_name
sync_mode: incremental  # added and changed rows; `mirror` deletes what left the model, too
"""
_COMPONENT = "reverse_etl_assets.ReverseEtlComponent"


def init(
    dbt: Annotated[
        Path | None,
        typer.Option("--dbt", metavar="DIR", help="The dbt project. Left out: the nearest upwards or a level below."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="TYPE", help="A type of destination (hubspot if left out); may be given again."),
    ] = None,
    component: Annotated[
        bool, typer.Option("--component", help="Write a component for dg, also where dg is not found by itself.")
    ] = False,
) -> None:
    """Write what a project needs beside your dbt project: settings, a folder of syncs, the variables."""
    from reverse_etl_assets.cli.dbt_place import find_dbt, find_dg
    from reverse_etl_assets.errors import ConfigurationError
    from reverse_etl_assets.private_files import make_private_folder

    kinds = list(dict.fromkeys(to or ["hubspot"]))
    dg = find_dg()
    if component and not dg:
        raise ConfigurationError("--component: no project of dg here ([tool.dg.project] in a pyproject.toml).")
    if component and dg and not dg.loads_defs:
        raise ConfigurationError(f"--component: {dg.loader} does not load {dg.defs}: dg.load_from_defs_folder does.")
    in_code = dg and not dg.loads_defs
    project = find_dbt(dbt) if dbt or in_code or not (dg and dg.dbt_defs()) else None
    if dg and in_code:
        folder = place = dg.folder
        written = []
    elif dg:
        folder, place = dg.defs / "reverse_etl", dg.folder
        defs = None if dbt else dg.dbt_defs()
        text = _component_text(f"{{ defs: {defs} }}" if defs else _relative(project, folder), kinds)
        written = [_write(folder / "defs.yaml", text)]
    else:
        folder = place = Path.cwd() if dbt else _settings_folder(project)
        written = [_write(folder / "reverse_etl.yml", _settings_text(_relative(project, folder), kinds))]
    make_private_folder(folder / ".reverse_etl")
    written += [
        _write(folder / "syncs" / "first_sync.yml.example", _EXAMPLE.format(name=kinds[0])),
        _write(folder / ".reverse_etl" / ".gitignore", "*\n"),
        _write(place / ".env.example", _variables_text(kinds)),
    ]
    for line in written:
        say(line)
    if _in_git(place / ".env"):
        say("! .env will hold secrets, and git does not ignore it: add it to .gitignore", err=True)
    if project:
        _say_profile(project)
    if dg and in_code:
        _say_code(dg.loader, dg.folder, kinds)
    _say_next(kinds[0])


def _settings_folder(project: "Path | None") -> Path:
    """Where a file of settings names the dbt project already, here or above, for two would have a state each; else the
    project's own folder, if this is in it; else this one."""
    from reverse_etl_assets.deployment.file import FILE, read_deployment
    from reverse_etl_assets.errors import ReverseEtlError

    here = Path.cwd()
    for folder in (here, *here.parents):
        if project and (folder / FILE).is_file():
            with suppress(ReverseEtlError):
                if read_deployment(folder / FILE).project.dbt.project_dir.resolve() == project.resolve():
                    return folder
    return project if project and here.is_relative_to(project) else here


def _relative(project: Path | None, folder: Path) -> str:
    import os

    return Path(os.path.relpath(project or ".", folder)).as_posix()


def _settings_text(dbt: str, kinds: "Sequence[str]") -> str:
    return "\n".join(
        [
            "# Relative paths are relative to this file. `reverse-etl doctor` tells whether all of it is right.",
            f"dbt: {dbt} # the folder with dbt_project.yml; profile and target as dbt finds them",
            "syncs: syncs",
            *_accounts(kinds, ""),
        ]
    )


def _component_text(dbt: str, kinds: "Sequence[str]") -> str:
    return "\n".join(
        [f"type: {_COMPONENT}", "", "attributes:", f"  dbt: {dbt}", "  syncs: syncs", *_accounts(kinds, "  ")]
    )


def _accounts(kinds: "Sequence[str]", indent: str) -> list[str]:
    from reverse_etl_assets.deployment.account_lines import account_lines

    lines = [f"{indent}destinations: # what syncs write to, by the name that they call it by"]
    lines += [f"{indent}  {line}" for kind in kinds for line in account_lines(kind, kind)]
    return [*lines, ""]


def _variables_text(kinds: "Sequence[str]") -> str:
    from reverse_etl_assets.deployment.account_lines import needed, variable

    lines = ["# Copy it to .env and fill it in; .env is read by the commands and by Dagster, and stays out of git."]
    for kind in kinds:
        lines += [f"{variable(kind, setting)}=" for setting in needed(kind)]
    return "\n".join([*lines, ""])


def _write(file: Path, text: str) -> str:
    """What became of it: a file that is there stays as it is. Raises ConfigurationError if it cannot be written."""
    import os

    from reverse_etl_assets.errors import ConfigurationError

    shown = os.path.relpath(file)
    try:
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        if file.exists():
            return f"kept  {shown}"
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from None
    return f"wrote {shown}"


def _in_git(file: Path) -> bool:
    """Whether git would take the file into a repository."""
    import shutil
    import subprocess

    git = shutil.which("git")
    if git is None:
        return False
    return subprocess.run([git, "check-ignore", "-q", file], cwd=file.parent, capture_output=True).returncode == 1  # noqa: S603


def _say_profile(project: Path) -> None:
    from reverse_etl_assets.dbt.profile import read_profile
    from reverse_etl_assets.dbt.settings import DbtSettings
    from reverse_etl_assets.errors import ConfigurationError

    try:
        profile = read_profile(DbtSettings(project))
    except ConfigurationError as error:
        say(f"! {error}", err=True)
    else:
        say(f"dbt   {project.name}: profile {profile.name} of {profile.file}, target {profile.target}")


def _say_code(file: Path, folder: Path, kinds: "Sequence[str]") -> None:
    """The lines for a code location that is written in Python: it is somebody's own, so nobody else changes it."""
    import os

    say(f"\nAdd to {os.path.relpath(file)}, around the Definitions that it has:\n")
    say("\n".join(line and f"    {line}" for line in _code_lines(len(file.relative_to(folder).parts) - 1, kinds)))


def _code_lines(depth: int, kinds: "Sequence[str]") -> list[str]:
    from reverse_etl_assets.deployment.account_lines import resource_lines

    return [
        "from pathlib import Path",
        "",
        "import reverse_etl_assets as retl",
        "",
        "defs = dg.Definitions.merge(",
        "    dg.Definitions(...),  # what you have",
        "    retl.build_sync_definitions(",
        "        dbt=...,  # your @dbt_assets",
        f'        syncs=Path(__file__).parents[{depth}] / "syncs",',
        "        destinations={",
        *(f"            {line}" for kind in kinds for line in resource_lines(kind, kind)),
        "        },",
        "    ),",
        ")",
    ]


def _say_next(name: str) -> None:
    say(
        "\nNext:\n"
        "  1. reverse-etl sandbox --env-file .env   in another terminal: the vendors; or fill in .env\n"
        f"  2. reverse-etl new sync MODEL --to {name}   one of your models, built by dbt\n"
        "  3. reverse-etl check, then plan, then run"
    )
