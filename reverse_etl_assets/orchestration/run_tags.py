"""Tags of a run that has syncs, however it was started, so that Dagster's limits by tag count it."""

from collections.abc import Iterable

import dagster as dg

from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.loaded import LoadedSync

_LONGEST = 250  # bytes


class RunTags:
    """`destination` and `sync` of each sync of a run; several are joined by a comma.

    Schedules and freshness sensors give their runs tags before these wait in Dagster's queue. A run that somebody
    starts by hand has none until it begins; then it counts too.
    """

    def __init__(self, syncs: Iterable[LoadedSync]) -> None:
        self._tags = {each.key: each.tags for each in syncs}

    def add_to(self, context: dg.AssetExecutionContext) -> None:
        """The same from each step of the run, for steps may begin at the same moment."""
        keys = context.job_def.asset_layer.executable_asset_keys
        found = [tags for key, tags in self._tags.items() if key in keys]
        names = {name: sorted({tags[name] for tags in found}) for name in ("destination", "sync")}
        tags = {name: clip(",".join(values), _LONGEST) for name, values in names.items() if values}
        if any(context.run.tags.get(name) != value for name, value in tags.items()):
            context.instance.add_run_tags(context.run.run_id, tags)
