"""Environment variables from a file: `.env` beside the project, or the one of `--env-file`."""

import os
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


def variables_of(file: Path) -> dict[str, str]:
    """What a file of variables says, by the same rules as in Dagster."""
    from dotenv import dotenv_values

    try:
        with file.open(encoding="utf-8") as text:
            return {name: value for name, value in dotenv_values(stream=text).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the file of variables {file} cannot be read: {error}") from None
