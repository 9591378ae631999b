"""What Dagster asks of a sync's file beyond the engine: owners, tags and cron lines of its own syntax."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dagster as dg

from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import Location, YamlSource

_TAG = "letters, digits, `_`, `-` and `.`, at most 63 of them"


def sync_files(folder: Path) -> dict[str, Path]:
    """The file of each sync, by the name that the sync has."""
    found: dict[str, Path] = {}
    for path in (*folder.glob("*.yml"), *folder.glob("*.yaml")):
        named = re.search(r"^sync\s*:\s*[\"']?(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        found[named[1] if named else path.stem] = path
    return found


def check_syntax(syncs: Iterable[Sync], files: dict[str, Path]) -> None:
    """Raises SpecError with everything that Dagster would not take, a line each."""
    problems = []
    for sync in syncs:
        if found := list(_problems(sync)):
            source = YamlSource(files[sync.sync])
            problems += [source.say(location, message) for location, message in found]
    if problems:
        raise SpecError("\n".join(problems))


def _problems(sync: Sync) -> Iterable[tuple[Location, str]]:
    for index, owner in enumerate(sync.owners):
        if _refused(lambda: dg.AssetSpec("sync", owners=[owner])):  # noqa: B023 - called at once
            yield ("owners", index), f"{owner!r} is no owner; write an e-mail address or `team:<name>`."
    for name, value in sync.tags.items():
        if _refused(lambda: dg.AssetSpec("sync", tags={name: value})):  # noqa: B023 - called at once
            yield ("tags", name), f"{name!r}: {value!r} is no tag; both may have {_TAG}."
    lines: list[tuple[Location, str | None]] = [
        (("schedule", "cron"), sync.schedule.cron if sync.schedule else None),
        (("verify", "drift", "cron"), sync.verify.drift.cron if sync.verify.drift else None),
    ]
    for place, cron in lines:
        if cron is not None and _refused(lambda: dg.ScheduleDefinition("sync", cron_schedule=cron, target="sync")):  # noqa: B023
            yield place, f"{cron!r} is no cron line; write five fields, such as `0 6 * * *` for 6:00 UTC every day."


def _refused(build: Callable[[], Any]) -> bool:
    try:
        build()
    except dg.DagsterError:
        return True
    return False
