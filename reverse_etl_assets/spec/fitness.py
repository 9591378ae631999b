"""Whether a sync fits its model and its destination: columns, personal data, keys, and what the destination can do."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from reverse_etl_assets.dbt.manifest import EPHEMERAL, Model
from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.spec.mapped_field import IfNull, Wins
from reverse_etl_assets.spec.modes import SyncMode
from reverse_etl_assets.spec.policies import BeforeImages, Cutover, Repair
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import Location, YamlSource, did_you_mean

DestinationTypes = Mapping[str, type[BaseDestination[Any, Any]]]


_logger = logging.getLogger("reverse_etl_assets")
_NEAR = "; did you mean"


def model_problems(source: YamlSource, sync: Sync, model: Model) -> list[str]:
    """Personal data that leaves, or may leave, without a reason.

    Columns are those of the built table, which `check` and the plan look at. A column that dbt's YAML does not have,
    though it has one that is near, is a warning.
    """
    used = list(_used_columns(sync))
    for where, column in used:
        if hint := _misspelt(column, model):
            _logger.warning(source.say(where, f"dbt's YAML of `{model.name}` has no column `{column}`{hint}"))
    return [
        *([source.say(("model",), f"`{model.name}` {EPHEMERAL}")] if model.materialized == "ephemeral" else []),
        *_not_permitted(source, sync, model, used),
        *_stale_permissions(source, sync, model, used),
    ]


def column_places(source: YamlSource, sync: Sync) -> dict[str, str]:
    """Where each column that the sync uses stands first, as an error begins."""
    return {column.lower(): source.say(where, "") for where, column in reversed(list(_used_columns(sync)))}


def _misspelt(column: str, model: Model) -> str:
    """The column that is probably meant, if dbt's YAML has none of this name but one that is near."""
    if column.lower() in {name.lower() for name in model.columns}:
        return ""
    hint = did_you_mean(column, model.columns)
    return hint if hint.startswith(_NEAR) else ""


def _used_columns(sync: Sync) -> Iterator[tuple[Location, str]]:
    yield from ((("primary_key",), column) for column in sync.primary_key)
    yield from ((("mapping", field), mapped.column) for field, mapped in sync.mapping.items() if mapped.column)
    others: list[tuple[Location, str | None]] = [
        (("change_detection", "last_modified_at"), sync.change_detection.last_modified_at),
        (("updated_at",), sync.updated_at),
        (("on_duplicate_key",), sync.on_duplicate_key.latest_by),
    ]
    yield from ((where, column) for where, column in others if column)
    for number, parent in enumerate(sync.after):
        yield from ((("after", number, "key"), column) for column in parent.key)


def _not_permitted(source: YamlSource, sync: Sync, model: Model, used: list[tuple[Location, str]]) -> Iterator[str]:
    """Each column once, where it is used first."""
    permitted = {column.lower() for column in sync.allow_pii}
    for where, column in used:
        kind = model.pii.get(column.lower())
        if kind is None or column.lower() in permitted:
            continue
        permitted.add(column.lower())
        yield source.say(
            where,
            f"`{column}` of `{model.name}` is personal data ({kind}), and sync `{sync.sync}` sends it to"
            f" `{sync.destination}`. If it may leave, write `allow_pii: {{{column}: <why>}}`.",
        )


def _stale_permissions(source: YamlSource, sync: Sync, model: Model, used: list[tuple[Location, str]]) -> Iterator[str]:
    """A permission for what is not there would let it out unseen on the day it comes."""
    names = {column.lower() for _, column in used}
    for column in sync.allow_pii:
        where = ("allow_pii", column)
        if column.lower() not in names and (hint := _misspelt(column, model)):
            yield source.say(where, f"`{model.name}` has no column `{column}`{hint}")
        elif column.lower() not in names:
            yield source.say(where, f"the sync does not use `{column}`; take the permission out.")
        elif column.lower() not in model.pii:
            message = f"dbt does not mark `{column}` of `{model.name}` as personal data; take the permission out."
            yield source.say(where, message)


def field_problems(source: YamlSource, sync: Sync) -> list[str]:
    """Rules that a field cannot have, and guards of fields that are not mapped."""
    problems = []
    for field, mapped in sync.mapping.items():
        where = ("mapping", field)
        if field.lower() == sync.external_id.lower():
            for name, is_set in (
                ("wins", mapped.wins is not Wins.WAREHOUSE),
                ("null", mapped.null is not IfNull.CLEAR),
                ("transform", mapped.transform is not None),
            ):
                if is_set:
                    message = f"`{field}` is the key that matches records; it is always sent as it is."
                    problems.append(source.say((*where, name), message))
        if mapped.region and not _has_telephones(mapped.region):
            message = f"`{mapped.region}` is no country of ISO 3166-1 with telephone numbers; Britain is `GB`."
            problems.append(source.say((*where, "region"), message))
    drift = sync.verify.drift
    if drift and drift.repair is Repair.RESEND and sync.mode.of_events:
        message = f"`{sync.sync_mode}` sends each row once, and nothing again; use `repair: report`."
        problems.append(source.say(("verify", "drift", "repair"), message))
    for field in sync.guards.fields:
        if field not in sync.mapping:
            message = f"the sync does not map `{field}`{did_you_mean(field, sync.mapping)}"
            problems.append(source.say(("guards", "fields", field), message))
    return problems


def destination_problems(source: YamlSource, sync: Sync, destinations: DestinationTypes) -> list[str]:
    """A destination that there is not, options that it does not know, and what it cannot do."""
    destination = destinations.get(sync.destination)
    if destination is None:
        hint = did_you_mean(sync.destination, destinations)
        return [source.say(("destination",), f"there is no destination `{sync.destination}`{hint}")]
    try:
        route = Route(sync, destination)
        capabilities = route.capabilities
    except ValidationError as error:
        return [str(source.explain(error, destination.Options, below=("options",)))]
    except SpecError as error:
        return [source.say(("options",), str(error))]
    problems = [] if route.reads_back else _unreadable(source, sync, destinations)
    missing = sync.mode.operations - capabilities.operations
    if missing:
        able = [each.value for each in SyncMode if each.mode.operations <= capabilities.operations]
        message = f"`{sync.destination}` cannot {', '.join(sorted(missing))}; it can do {', '.join(able)}."
        problems.append(source.say(("sync_mode",), message))
    if capabilities.replaces and sync.change_detection.last_modified_at:
        message = "what a run sends takes the place of all that is there, so every row has to be looked at."
        problems.append(source.say(("change_detection", "last_modified_at"), message))
    for number, parent in enumerate(sync.after):
        if capabilities.replaces and parent.holds:
            message = (
                "what a run sends takes the place of all that is there, so a row that is held back would be taken out;"
                " write `on_missing_parent: send`."
            )
            problems.append(source.say(("after", number, "key"), message))
    if capabilities.replaces and not sync.mode.sends_all:
        message = f"what a run sends takes the place of all that `{sync.destination}` holds; use `full_refresh`."
        problems.append(source.say(("sync_mode",), message))
    return problems


def _unreadable(source: YamlSource, sync: Sync, destinations: DestinationTypes) -> list[str]:
    """What was asked for that needs to know what records hold. Defaults ask for nothing: they do what can be done."""
    able = [f"`{name}`" for name, each in destinations.items() if hasattr(each, "read_records")]
    able = [name for name in able if name != f"`{sync.destination}`"]
    others = f"{', '.join(able)} can." if able else "no destination of this deployment can."
    return [
        source.say(where, f"{what} needs to read records back, and `{sync.destination}` cannot; {others}")
        for where, what in _needs_reading(sync)
    ]


def _needs_reading(sync: Sync) -> Iterator[tuple[Location, str]]:
    for field, mapped in sync.mapping.items():
        if mapped.wins is not Wins.WAREHOUSE:
            yield ("mapping", field, "wins"), f"`wins: {mapped.wins}`"
    if "before_images" in sync.model_fields_set and sync.before_images is BeforeImages.DESTINATION:
        yield ("before_images",), "`before_images: destination`"
    if sync.cutover is Cutover.ADOPT:
        yield ("cutover",), "`cutover: adopt`"
    if "sample" in sync.verify.model_fields_set and sync.verify.sample != 0:
        yield ("verify", "sample"), f"`sample: {sync.verify.sample}`"
    if sync.verify.drift:
        yield ("verify", "drift"), "`drift`"


def _has_telephones(country: str) -> bool:
    import phonenumbers  # only who sends telephone numbers waits for it

    return country in phonenumbers.SUPPORTED_REGIONS
