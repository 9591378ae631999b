"""The SQL of the planner and the ledger: templates with the names of a sync filled in, values always bound."""

from functools import cache
from typing import Any

import jinja2


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("reverse_etl_assets", "sql"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - SQL, not HTML; identifiers are quoted by the caller
    )


def render(name: str, **names: Any) -> str:
    """The statement in `<name>.sql`."""
    return _environment().get_template(f"{name}.sql").render(**names)
