"""A code location loaded as Dagster loads it, so that what is only built then is built."""

from pathlib import Path
from types import ModuleType

from dagster._utils.warnings import suppress_dagster_warnings
from dagster.components.core.component_tree import LegacyAutoloadingComponentTree
from dagster.components.definitions import LazyDefinitions


@suppress_dagster_warnings
def load_definitions(module: ModuleType, defs_folder_of: Path | None = None) -> None:
    """Build what the module builds only when it is asked: `@dg.definitions`; or the folder of definitions that it is,
    in the project in `defs_folder_of`.

    Raises whatever the module's own lines do.
    """
    if defs_folder_of:
        LegacyAutoloadingComponentTree.from_module(defs_module=module, project_root=defs_folder_of).build_defs()
        return
    for value in list(vars(module).values()):
        if isinstance(value, LazyDefinitions):
            value()
