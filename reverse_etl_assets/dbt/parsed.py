"""The manifest that is read: of the target whose tables are read, else parsed for it here."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock

from reverse_etl_assets.dbt.profile import Profile
from reverse_etl_assets.dbt.settings import DbtSettings, dbt_project_name
from reverse_etl_assets.dbt.target import Parsed, parsed_for, target_of_results
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.private_files import make_private_folder

_READ = frozenset({".sql", ".yml", ".yaml", ".py", ".md"})  # by what stands in them
_SEEN = frozenset({".csv", ".parquet", ".json"})  # by size and time: seeds may be large
_ENV_VAR = re.compile(rb"env_var\(\s*['\"](\w+)")
_PROJECT_NAME = re.compile(r'"project_name":\s*"([^"]+)"')
_STAMP = "parsed_of"
_TIMEOUT = 900.0  # seconds
_DBT = "from dbt.cli.main import cli; cli()"  # `-m dbt.cli.main` warns that it is imported already


def manifest_at_hand(settings: DbtSettings) -> Path | None:
    """The project's own manifest, for who needs no more than names and marks of models: as far as can be told without
    dbt it is of the target that is asked for."""
    manifest = settings.manifest
    if not manifest.exists() or _is_foreign(settings):
        return None
    try:
        same = settings.named_target is None or settings.named_target == target_of_results(manifest)
    except (OSError, ValueError, KeyError, TypeError):
        same = True  # whoever reads it says what is wrong with it
    return manifest if same else None


def last_parsed(settings: DbtSettings, home: Path) -> Path | None:
    """What was read before, of whichever target; for who needs no more than names, where dbt's profile is of no use."""
    own = [] if _is_foreign(settings) else [settings.manifest]
    found = [file for file in (*own, *home.glob("dbt/*/manifest.json")) if file.exists()]
    return max(found, key=lambda file: file.stat().st_mtime, default=None)


def manifest_of_target(settings: DbtSettings, profile: Profile, home: Path) -> Path:
    """A manifest that was parsed for the profile's target: the project's own if that can be told, else one in `home`,
    which is parsed anew whenever the project or its profile changed.

    Raises ConfigurationError if there is none, and nothing to parse.
    """
    own = settings.manifest
    found = None if _is_foreign(settings) else _judged(own, profile, settings.project_dir)
    if found is Parsed.FOR_IT:
        return own
    if not settings.project_file.is_file():
        state = "is missing" if found is None else f"was parsed {found.value}"
        raise ConfigurationError(
            f"dbt's manifest at {own} {state}, and models of profile `{profile.name}`, target `{profile.target}` are to"
            f" be read. There is no dbt project in {settings.project_dir} to parse: put the manifest there that"
            f" `dbt parse --target {profile.target}` writes, with the run_results.json of a"
            f" `dbt build --target {profile.target}` beside it, or the whole project."
        )
    return _parsed_here(settings, profile, home)


def _is_foreign(settings: DbtSettings) -> bool:
    """Whether the manifest at hand is another project's, which has the same target path. Its first lines tell."""
    try:
        with settings.manifest.open(encoding="utf-8") as file:
            named = _PROJECT_NAME.search(file.read(10_000))
    except (OSError, ValueError):
        return False
    if named is None or not settings.project_file.is_file():
        return False
    return named[1] != dbt_project_name(settings.project_dir)


def _judged(manifest: Path, profile: Profile, project_dir: Path) -> Parsed | None:
    """None if there is no manifest, or none that can be read: where it can be parsed anew, it is."""
    try:
        return parsed_for(manifest, profile, project_dir)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if (project_dir / "dbt_project.yml").is_file():
            return None
        raise ConfigurationError(
            f"dbt's manifest at {manifest} cannot be read ({type(error).__name__}: {error}); `dbt parse` makes it anew."
        ) from error


def _parsed_here(settings: DbtSettings, profile: Profile, home: Path) -> Path:
    folder = home / "dbt" / re.sub(r"[^\w.-]", "_", f"{profile.name}-{profile.target}")
    manifest, stamp = folder / "manifest.json", folder / _STAMP
    try:
        make_private_folder(folder)
        with filelock.FileLock(folder / "lock"):
            made_of = _made_of(settings, profile, home)
            if not (manifest.exists() and stamp.exists() and stamp.read_text() == made_of):
                stamp.unlink(missing_ok=True)
                _parse(settings, profile, folder)
                stamp.write_text(made_of)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder} cannot be written: {error.strerror}.") from None
    return manifest


def _parse(settings: DbtSettings, profile: Profile, folder: Path) -> None:
    named = ["--project-dir", settings.project_dir, "--profiles-dir", profile.file.parent]
    named += ["--profile", profile.name, "--target", profile.target]
    named += ["--vars", json.dumps(profile.vars)] if profile.vars else []
    ours = ["--target-path", folder, "--log-path", folder / "logs", "--no-send-anonymous-usage-stats"]
    words = ["parse", *map(str, named), *map(str, ours), "--no-use-colors", "--quiet"]
    try:
        ran = subprocess.run(  # noqa: S603 - dbt of this Python, with the project's own settings
            [sys.executable, "-P", "-c", _DBT, *words],
            cwd=settings.project_dir,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"dbt did not parse {settings.project_dir} within {_TIMEOUT:.0f} s.") from None
    if ran.returncode:
        said = [re.sub(r"^\d\d:\d\d:\d\d\s+", "", line) for line in (ran.stdout or ran.stderr).splitlines()]
        told = "\n".join(line for line in said[-12:] if line.strip())
        raise ConfigurationError(
            f"dbt cannot parse {settings.project_dir} for profile `{profile.name}`, target `{profile.target}`:\n{told}"
            f"\nTry: dbt parse {shlex.join(map(str, named))}"
        )


def _made_of(settings: DbtSettings, profile: Profile, home: Path) -> str:
    """A digest of all that a parse follows from: files, profile, and the variables of the environment they name."""
    digest, variables = hashlib.sha256(), set[str]()
    for part in (str(settings.project_dir), profile.name, profile.target, profile.database, profile.schema):
        digest.update(f"{part}\0".encode())
    if profile.vars:
        digest.update(json.dumps(profile.vars, sort_keys=True).encode())
    for file in (profile.file, *sorted(_sources(settings, home))):
        digest.update(f"{file}\0".encode())
        if file.suffix in _READ and "dbt_packages" not in file.parts:
            text = file.read_bytes()
            digest.update(text)
            variables.update(name.decode() for name in _ENV_VAR.findall(text))
        else:
            digest.update(f"{file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    for name in sorted(variables):
        if not name.startswith("DBT_ENV_SECRET"):  # known to profiles alone
            digest.update(f"{name}={os.environ.get(name)}\0".encode())
    return digest.hexdigest()


def _sources(settings: DbtSettings, home: Path) -> Iterator[Path]:
    """The project's files and those of its packages, without what dbt and we write."""
    seen = {settings.target_folder.resolve(), home.resolve(), (settings.project_dir / "logs").resolve()}
    for place, folders, files in os.walk(settings.project_dir, followlinks=True):  # local packages are links
        here = Path(place)
        there = {name: (here / name).resolve() for name in folders if not name.startswith(".")}
        folders[:] = [
            name
            for name, real in there.items()
            if real not in seen and real not in here.resolve().parents and not (real / "pyvenv.cfg").exists()
        ]
        seen.update(there.values())
        yield from (here / name for name in files if Path(name).suffix in _READ | _SEEN)
