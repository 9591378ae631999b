"""Environment variables from a file: `.env` beside the project, or the one of `--env-file`."""

import os
from io import StringIO
from pathlib import Path

from reverse_etl_assets.cli.chosen import CHOSEN
from reverse_etl_assets.errors import ConfigurationError


def read_env_file(folder: Path) -> None:
    """Set what the file says and the environment does not. Raises ConfigurationError if it cannot be read."""
    named = CHOSEN.get().env_file
    file = Path(named).expanduser() if named else folder / ".env"
    if not named and not file.is_file():
        return
    for name, value in variables_of(file).items():
        os.environ.setdefault(name, value)


def variables_of(file: Path, text: str | None = None) -> dict[str, str]:
    """What a file of variables says, or a text that it has, by the same rules as in Dagster."""
    from dotenv import dotenv_values

    try:
        given = file.read_text(encoding="utf-8") if text is None else text
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the file of variables {file} cannot be read: {error}") from None
    return {name: value for name, value in dotenv_values(stream=StringIO(given)).items() if value is not None}
