"""What a sync looks like in Dagster: key, group, tags, owners, kinds, and what it depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.orchestration import description
from reverse_etl_assets.orchestration.automation import automation_condition, freshness_policy
from reverse_etl_assets.spec.route import DestinationType
from reverse_etl_assets.spec.sync import Sync


@dataclass(frozen=True)
class SyncTranslatorData:
    """What is known of a sync when its asset is described.

    `models` are the assets that it reads, `after` those of the syncs it waits for, `partitioned` those of `models` that
    have partitions; `link` leads to its object at the destination.
    """

    sync: Sync
    model: Model
    destination_type: DestinationType
    file: Path
    models: Sequence[dg.AssetKey] = ()
    after: Sequence[dg.AssetKey] = ()
    partitioned: bool = False
    link: str | None = None


class DagsterReverseEtlTranslator:
    """Inherit it, and change what `get_asset_spec` returns.

    class Ours(DagsterReverseEtlTranslator):
        def get_asset_spec(self, data):
            return super().get_asset_spec(data).replace_attributes(group_name="activation")
    """

    def get_asset_spec(self, data: SyncTranslatorData) -> dg.AssetSpec:
        """The asset of a sync: `[destination, sync]`, in a group of its destination, downstream of what it reads."""
        sync = data.sync
        return dg.AssetSpec(
            dg.AssetKey([sync.destination, sync.sync]),
            deps=[*data.models, *data.after],
            group_name=sync.destination,
            kinds=description.kinds(data.destination_type),
            owners=sync.owners,
            tags=sync.tags,
            description=description.description(sync),
            metadata=description.definition_metadata(
                sync, data.model, data.models[0] if data.models else None, file=data.file, link=data.link
            ),
            code_version=description.code_version(sync),
            automation_condition=automation_condition(sync, partitioned=data.partitioned),
            freshness_policy=freshness_policy(sync),
            skippable=True,  # rows that a destination has not settled yet are no materialisation
        )
