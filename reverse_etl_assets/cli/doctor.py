"""`reverse-etl doctor`: is all that a run needs there, and right? One line for each thing, with what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.project import Project

_MARKS = {"ok": "[green]ok[/]", "!": "[yellow]! [/]", "x": "[red]x [/]"}
_SLOW = 60.0  # seconds that a clock may be wrong before leases and dates of vendors suffer
_PATIENCE = 5.0  # seconds


@dataclass(frozen=True)
class Finding:
    """`mark` is `ok`, `!` for what a person should know, `x` for what has to be mended before a run."""

    about: str
    mark: str
    text: str


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at dbt, warehouse, home, journal, credentials, versions and clock. Only reads; exit code 1 on an x."""
    from reverse_etl_assets.cli.output import console, escape, print_json

    found = []
    out = console()
    for each in findings():
        found.append(each)
        if not json:
            first, *more = each.text.splitlines() or [""]
            out.print(f"{_MARKS[each.mark]} {each.about:<12} {escape(first)}", soft_wrap=True)
            for line in more:
                out.print(f"                {escape(line)}", soft_wrap=True)
    if json:
        print_json(found)
    if any(each.mark == "x" for each in found):
        raise typer.Exit(1)


def findings() -> Iterator[Finding]:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.errors import ReverseEtlError

    yield from _versions()
    try:
        deployed = Deployed()
    except ReverseEtlError as error:
        yield Finding("project", "x", str(error))
        return
    project = deployed.project
    yield Finding("project", "ok", f"{project.prefix}, by {deployed.place.said_by}")
    yield from _looked_at("dbt", lambda: _profile(project))
    yield from _looked_at("models", lambda: _models(project))
    yield from _looked_at("warehouse", lambda: _warehouse(project))
    yield from _looked_at("syncs", lambda: _syncs(project))
    yield from _looked_at("home", lambda: _home(project))
    yield from _looked_at("journal", lambda: _journal(project))
    for name in deployed.destinations:
        yield from _credentials(deployed, name)
    yield _clock(deployed)


def _looked_at(about: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    """What a look finds; an error of ours is something to be mended."""
    from reverse_etl_assets.errors import ReverseEtlError

    try:
        yield look()
    except ReverseEtlError as error:
        yield Finding(about, "x", str(error))


def _versions() -> Iterator[Finding]:
    import platform

    from reverse_etl_assets import __version__

    names = ("dagster", "dbt-core", "dbt-duckdb", "duckdb")
    found = {name: _version(name) for name in names}
    said = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    yield Finding("versions", "ok", f"reverse-etl-assets {__version__}, Python {platform.python_version()}, {said}")
    for name, version in found.items():
        if version is None:
            extra = "reverse-etl-assets[duckdb]" if name == "dbt-duckdb" else name
            yield Finding("versions", "x", f"{name} is not installed here: pip install '{extra}'")
        elif wrong := _outside(name, version):
            yield Finding("versions", "!", wrong)


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _outside(name: str, version: str) -> str | None:
    """Whether this release was not made for the version."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    try:
        needed = [Requirement(each) for each in requires("reverse-etl-assets") or ()]
    except PackageNotFoundError:  # it runs from its source
        return None
    for each in needed:
        if each.name == name and not each.specifier.contains(version, prereleases=True):
            return f"{name} {version} is not what this release was made for: pip install '{name}{each.specifier}'"
    return None


def _profile(project: "Project") -> Finding:
    profile = project.profile
    text = f"profile {profile.name}, target {profile.target} ({profile.credentials.type}), by {profile.file}"
    return Finding("dbt", "ok", text)


def _models(project: "Project") -> Finding:
    found = {each.unique_id: each for each in project.models.values()}
    return Finding("models", "ok", f"{len(found)} in dbt's manifest of {project.dbt.project_dir}")


def _warehouse(project: "Project") -> Finding:
    """Opened as a plan opens it, but without waiting for whoever has it."""
    import re
    from dataclasses import replace

    from reverse_etl_assets.errors import FileLocked

    database = project.warehouse.database
    if not database.exists():
        return Finding("warehouse", "x", f"{database} is not there: run dbt build, for target {project.profile.target}")
    try:
        with replace(project.warehouse, lock_wait=0.0).open("doctor", models=True):
            return Finding("warehouse", "ok", f"{database}, {database.stat().st_size / 1e6:,.1f} MB, nobody holds it")
    except FileLocked as error:
        holder = re.search(r"\(PID (\d+)\)", str(error))
        who = f"process {holder[1]} writes to it" if holder else "a process holds it"
        return Finding("warehouse", "!", f"{database}: {who}; a run waits for it (REVERSE_ETL_LOCK_WAIT)")


def _syncs(project: "Project") -> Finding:
    found = project.syncs
    if not found:
        text = f"none yet in {project.syncs_folder}: reverse-etl new sync MODEL --to DESTINATION"
        return Finding("syncs", "!", text)
    return Finding("syncs", "ok", f"{len(found)} in {project.syncs_folder}")


def _home(project: "Project") -> Finding:
    import os

    home = project.home  # an error if it is another project's
    there = next(each for each in (home, *home.parents) if each.exists())
    if not there.is_dir():
        return Finding("home", "x", f"{there} is a file, and a home is a folder: choose another (REVERSE_ETL_HOME)")
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("home", "x", f"{home} cannot be written by this user: choose another (REVERSE_ETL_HOME)")
    return Finding("home", "ok", str(home) if there == home else f"{home}; the first run makes it")


def _journal(project: "Project") -> Finding:
    import os

    from reverse_etl_assets.journal.schema import SCHEMA_VERSION
    from reverse_etl_assets.project import JOURNAL

    url = os.environ.get(JOURNAL) or ""
    if not url and not (project.home / "journal.sqlite").exists():
        return Finding("journal", "ok", f"SQLite in {project.home}; the first run makes it")
    journal = project.journal  # brought up to date, as by any command
    stops = "; stopped: see reverse-etl status" if journal.stops() else ""
    return Finding("journal", "!" if stops else "ok", f"{journal.database.shown}, form {SCHEMA_VERSION}{stops}")


def _credentials(deployed: "Deployed", name: str) -> Iterator[Finding]:
    """Which variables are set; whether they are right only the destination knows."""
    import os

    from reverse_etl_assets.errors import ConfigurationError

    destination = deployed.destinations[name]
    variables = destination.variables()
    try:
        destination.account(name)
    except ConfigurationError as error:
        unset = [each for each, setting in variables.items() if not os.environ.get(each)]
        missing = [each for each in unset if destination.known(variables[each]) is None]
        env_file = deployed.place.folder / ".env"
        text = f"not set: {', '.join(missing)}; put them into {env_file}" if missing else str(error)
        yield Finding(name, "x", text)
    else:
        said = ", ".join(variables) or "no variable"
        yield Finding(name, "ok", f"{said}; `reverse-etl check` asks the destination itself")


def _clock(deployed: "Deployed") -> Finding:
    """Compared with the time of the first destination that tells one."""
    addresses = [str(each.known("base_url") or "") for each in deployed.destinations.values()]
    for address in dict.fromkeys(each for each in addresses if each.startswith(("https://", "http://"))):
        if (ahead := _seconds_ahead(address)) is None:
            continue
        host = address.split("/")[2]
        if abs(ahead) > _SLOW:
            way = "ahead of" if ahead > 0 else "behind"
            return Finding("clock", "!", f"{abs(ahead):,.0f} s {way} {host}'s: set this machine's by NTP")
        return Finding("clock", "ok", f"agrees with {host}'s")
    return Finding("clock", "ok", "not compared: no destination told its time")


def _seconds_ahead(address: str) -> float | None:
    import time

    import httpx

    from reverse_etl_assets.destinations.base import answered_at

    try:
        answer = httpx.head(address, timeout=_PATIENCE, trust_env=True)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return time.time() - answered_at(answer) if "Date" in answer.headers else None
