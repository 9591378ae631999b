"""`reverse-etl schema`: what an editor needs to help with a sync's file."""

from typing import Any


def schema() -> None:
    """Print the JSON schema of a sync's file."""
    from reverse_etl_assets.cli.output import print_json

    print_json(sync_schema())


def sync_schema() -> dict[str, Any]:
    """The schema of the YAML; other than the model, a file may leave out its name."""
    from reverse_etl_assets.spec.sync import Sync

    made = Sync.model_json_schema()
    made["required"].remove("sync")
    return made
