"""What the catalog shows of a sync before it ever ran: words, columns, where it is defined and where it leads."""

import hashlib
import re
import warnings
from pathlib import Path
from typing import Any

import dagster as dg

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.spec.mapped_field import MappedField
from reverse_etl_assets.spec.sync import Sync

_ICONS = frozenset(
    {"airtable", "braze", "facebook", "googlesheets", "linkedin", "mysql", "notion"}
    | {"postgres", "salesforce", "segment", "slack", "stripe", "zendesk"}
)


def kinds(destination: type[BaseDestination[Any, Any]]) -> set[str]:
    """`reverse_etl`, and the destination's type where Dagster has an icon for it."""
    return {"reverse_etl", *({destination.kind} & _ICONS)}


def description(sync: Sync) -> str:
    first = f"{sync.model} → {sync.destination} {sync.object}: {sync.mode.sends}, matched by {sync.external_id}."
    return f"{first}\n\n{sync.description}".rstrip()


def code_version(sync: Sync) -> str:
    """Changes with the definition, so that Dagster marks a sync that did not run since."""
    return hashlib.sha256(sync.model_dump_json().encode()).hexdigest()[:12]


def definition_metadata(
    sync: Sync, model: Model, model_key: dg.AssetKey | None, *, file: Path, link: str | None
) -> dict[str, Any]:
    fields = sync.mapping.items()
    lineage = {
        field: [dg.TableColumnDep(asset_key=model_key, column_name=source.column)]
        for field, source in fields
        if source.column and model_key
    }
    metadata: dict[str, Any] = {
        "object": sync.object,
        "sync mode": sync.sync_mode.value,
        "primary key": ", ".join(sync.primary_key),
        "external id": sync.external_id,
        "dagster/column_schema": dg.TableSchema([_column(sync, field, source, model) for field, source in fields]),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
        "dagster/code_references": _code_reference(file),
    }
    return {"destination": dg.MetadataValue.url(link), **metadata} if link else metadata


def _column(sync: Sync, field: str, source: MappedField, model: Model) -> dg.TableColumn:
    unique = dg.TableColumnConstraints(nullable=False, unique=True) if field == sync.external_id else None
    if source.column is None:
        return dg.TableColumn(field, "constant", f"always {source.constant!r}", unique)
    declared = {name.lower(): kind for name, kind in model.columns.items()}.get(source.column.lower())
    described = {name.lower(): text for name, text in model.descriptions.items()}.get(source.column.lower())
    origin = f"from {model.name}.{source.column}"
    return dg.TableColumn(field, declared or "unknown", f"{origin}: {described}" if described else origin, unique)


def _code_reference(file: Path) -> dg.CodeReferencesMetadataValue:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=str(file), line_number=_line(file), label=file.name)
        return dg.CodeReferencesMetadataValue(code_references=[reference])


def _line(file: Path) -> int:
    """Where the sync's name stands; the file's first line if the file's name is the sync's."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((number for number, text in enumerate(lines, 1) if re.match(r"sync\s*:", text)), 1)
