"""A project, whose its folder is, and what dbt said of it elsewhere."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reverse_etl_assets.project.dbt_results import remember_dbt_results as remember_dbt_results
    from reverse_etl_assets.project.project import JOURNAL as JOURNAL, Project as Project
else:
    from reverse_etl_assets.lazy_names import lazy_names

    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
