"""A project, whose its folder is, and what dbt said of it elsewhere."""

from reverse_etl_assets.project.dbt_results import remember_dbt_results as remember_dbt_results
from reverse_etl_assets.project.project import JOURNAL as JOURNAL, Project as Project
