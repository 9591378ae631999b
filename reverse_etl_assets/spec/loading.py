"""Reads the folder of syncs: each file checked against its model and destination, and all of them together."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.errors import SpecError, UnknownModel
from reverse_etl_assets.spec.dbt_marks import pinned, stray_names, with_dbt_versions
from reverse_etl_assets.spec.fitness import (
    DestinationTypes,
    column_places,
    destination_problems,
    field_problems,
    model_problems,
)
from reverse_etl_assets.spec.order import in_order, order_problems
from reverse_etl_assets.spec.overlaps import overlaps
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import YamlSource


def load_syncs(folder: Path, models: Mapping[str, Model], destinations: DestinationTypes) -> dict[str, Sync]:
    """Every sync of a folder by name, each fit for its model and destination, and no two in each other's way. One that
    comes before another, by `after`, stands before it.

    Raises SpecError with everything that is wrong in all files, a line each; UnknownModel if a model is among it.
    """
    syncs: dict[str, Sync] = {}
    sources: dict[str, YamlSource] = {}
    problems: list[str] = []
    named: set[str] = set()
    kind = SpecError
    for path in sorted((*folder.glob("*.yml"), *folder.glob("*.yaml"))):
        try:
            named.add(path.stem)  # what its file says wrongly is no reason to say that there is none
            source = YamlSource(path)
            named.add(str(source.value.get("sync", path.stem)))
            sync = load_sync(source, models, destinations)
        except SpecError as error:
            problems.append(str(error))
            kind = UnknownModel if isinstance(error, UnknownModel) else kind
            continue
        if other := {name.lower(): found for name, found in sources.items()}.get(sync.sync.lower()):
            problems.append(source.say(("sync",), f"`{sync.sync}` is the name of {other.path} too; rename one."))
            continue
        sources[sync.sync] = source
        syncs[sync.sync] = sync
    problems += overlaps(syncs, sources, destinations)
    problems += order_problems(syncs, sources, syncs if not problems else named | syncs.keys())
    if not problems:  # a file that is wrong may be the sync that dbt means
        problems = stray_names(models, {name: sync.model for name, sync in syncs.items()})
    if problems:
        raise kind("\n".join(problems))
    return in_order(syncs)


def load_sync(source: YamlSource, models: Mapping[str, Model], destinations: DestinationTypes) -> Sync:
    """One sync, checked against its model and destination. Raises SpecError."""
    value = with_dbt_versions(source, {"sync": source.path.stem, **source.value}, models)
    try:
        sync = Sync.model_validate(value)
    except ValidationError as error:
        raise source.explain(error, Sync) from None
    problems, kind = [], SpecError
    try:
        if sync.query is not None:
            from reverse_etl_assets.spec.query import with_query  # an engine and a language of templates

            sync = with_query(source, sync, models)
        else:
            sync = sync.model_copy(update={"model": pinned(source, sync.model, sync.model_version, models)})
        problems = model_problems(source, sync, models[sync.model])
        sync = sync.written_at(column_places(source, sync))
    except SpecError as error:
        problems, kind = [str(error)], type(error)
    problems += [*field_problems(source, sync), *destination_problems(source, sync, destinations)]
    if problems:
        raise kind("\n".join(problems))
    return sync
