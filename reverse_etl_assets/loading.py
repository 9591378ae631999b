"""Reads the folder of syncs: each file checked against its model and destination, and all of them together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reverse_etl_assets.dbt_models import Model
from reverse_etl_assets.destinations.base import HttpDestination
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.records import FieldType
from reverse_etl_assets.spec import OPERATIONS, Sync, SyncMode
from reverse_etl_assets.yaml_source import YamlSource, did_you_mean

DestinationTypes = Mapping[str, type[HttpDestination[Any, Any]]]


def load_syncs(folder: Path, models: Mapping[str, Model], destinations: DestinationTypes) -> dict[str, Sync]:
    """Every sync of a folder by name, each fit for its model and destination.

    Raises SpecError with everything that is wrong in all files, a line each.
    """
    syncs: dict[str, Sync] = {}
    sources: dict[str, YamlSource] = {}
    problems: list[str] = []
    for path in sorted((*folder.glob("*.yml"), *folder.glob("*.yaml"))):
        try:
            source = YamlSource(path)
            sync = load_sync(source, models, destinations)
        except SpecError as error:
            problems.append(str(error))
            continue
        if other := sources.get(sync.sync.lower()):
            problems.append(source.say(("sync",), f"`{sync.sync}` is the name of {other.path} too; rename one."))
            continue
        sources[sync.sync.lower()] = source
        syncs[sync.sync] = sync
    if problems:
        raise SpecError("\n".join(problems))
    return syncs


def load_sync(source: YamlSource, models: Mapping[str, Model], destinations: DestinationTypes) -> Sync:
    """One sync, checked against its model and destination. Raises SpecError."""
    try:
        sync = Sync.model_validate({"sync": source.path.stem, **source.value})
    except ValidationError as error:
        raise source.explain(error, Sync) from None
    problems = [*_model_problems(source, sync, models), *_destination_problems(source, sync, destinations)]
    if problems:
        raise SpecError("\n".join(problems))
    return sync


def _model_problems(source: YamlSource, sync: Sync, models: Mapping[str, Model]) -> list[str]:
    model = models.get(sync.model)
    if model is None:
        return [source.say(("model",), f"there is no model `{sync.model}`{did_you_mean(sync.model, models)}")]
    if not model.columns:  # undocumented: the plan finds out
        return []
    known = {column.lower() for column in model.columns}
    used: list[tuple[tuple[str, ...], str]] = [(("primary_key",), column) for column in sync.primary_key]
    used += [(("mapping", field), mapped.column) for field, mapped in sync.mapping.items() if mapped.column]
    if sync.change_detection.last_modified_at:
        used.append((("change_detection", "last_modified_at"), sync.change_detection.last_modified_at))
    return [
        source.say(where, f"`{model.name}` has no column `{column}`{did_you_mean(column, model.columns)}")
        for where, column in used
        if column.lower() not in known
    ]


def _destination_problems(source: YamlSource, sync: Sync, destinations: DestinationTypes) -> list[str]:
    destination = destinations.get(sync.destination)
    if destination is None:
        hint = did_you_mean(sync.destination, destinations)
        return [source.say(("destination",), f"there is no destination `{sync.destination}`{hint}")]
    try:
        options = destination.Options.model_validate(sync.options)
        target = sync.target(dict.fromkeys(sync.columns, FieldType.TEXT))
        capabilities = destination.capabilities_for(target, options)
    except ValidationError as error:
        return [str(source.explain(error, destination.Options, below=("options",)))]
    except SpecError as error:
        return [source.say(("options",), str(error))]
    missing = OPERATIONS[sync.sync_mode] - capabilities.operations
    if missing:
        able = [mode.value for mode in SyncMode if OPERATIONS[mode] <= capabilities.operations]
        message = f"`{sync.destination}` cannot {', '.join(sorted(missing))}; it can do {', '.join(able)}."
        return [source.say(("sync_mode",), message)]
    return []
