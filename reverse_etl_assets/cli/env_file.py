"""A file of variables that a command completes: what people wrote stays, what a command wrote stands between marks."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from reverse_etl_assets.cli.variables import variables_of
from reverse_etl_assets.errors import ConfigurationError


def complete(file: Path, values: Mapping[str, str], mark: str, why: str) -> dict[str, str]:
    """Write the variables that the file does not have, for its user alone, in the place of those that were written
    under the same mark before. Returns what stands elsewhere in the file and has another value.

    Raises ConfigurationError if the file cannot be read or written.
    """
    begin, end = f"# >>> {mark}", f"# <<< {mark}"
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the file of variables {file} cannot be read: {error}") from None
    own = re.compile(rf"^{re.escape(begin)}.*?^{re.escape(end)}\n?", re.MULTILINE | re.DOTALL)
    rest = own.sub("", text)
    given = variables_of(file, rest)
    lines = [f"{name}={_quoted(value)}" for name, value in values.items() if name not in given]
    block = "\n".join([f"{begin}: {why}", *lines, end, ""])
    before = f"{rest.rstrip()}\n\n" if rest.strip() else ""
    try:
        _replace(file, f"{before}{block}" if lines else rest)
    except OSError as error:
        raise ConfigurationError(f"the file of variables {file} cannot be written: {error.strerror}") from None
    return {name: given[name] for name, value in values.items() if given.get(name, value) != value}


def _quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,-]*", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _replace(file: Path, text: str) -> None:
    """At once; a new file is for its user alone, an old one keeps its permissions."""
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    fresh.chmod(mode)
    fresh.replace(file.resolve())
