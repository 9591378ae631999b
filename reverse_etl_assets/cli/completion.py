"""Names for the shell's completion, from the project's files: nothing is loaded. A project in Python has none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def sync_names(incomplete: str) -> list[str]:
    """The syncs of the project's folder, by their files."""
    folder = _folder()
    if folder is None:
        return []
    found = sorted({file.stem for file in (*folder.glob("*.yml"), *folder.glob("*.yaml"))})
    return [name for name in found if name.startswith(incomplete)]


def destination_names(incomplete: str) -> list[str]:
    """The destinations that the project's file has."""
    found = _settings().get("destinations")
    return [str(name) for name in found if str(name).startswith(incomplete)] if isinstance(found, dict) else []


def _folder() -> Path | None:
    settings = _settings()
    file = settings.get("")
    return Path(file).parent / str(settings.get("syncs") or "syncs") if file else None


def _settings() -> dict[str, Any]:
    """What the project's file says, with its path under ""; nothing if the project is in Python or is none."""
    return next(_read(), {})


def _read() -> Iterator[dict[str, Any]]:
    import yaml

    from reverse_etl_assets.cli.place import find_place
    from reverse_etl_assets.errors import ReverseEtlError

    try:
        file = find_place().file
        found = yaml.safe_load(file.read_text(encoding="utf-8")) if file else None
    except (ReverseEtlError, OSError, ValueError, yaml.YAMLError):  # a shell that completes is told of no error
        return
    if isinstance(found, dict):
        yield {**found, "": file}
