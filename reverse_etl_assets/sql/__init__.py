"""The SQL of the planner and the ledger: templates with the names of a sync filled in, values always bound."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import jinja2

from reverse_etl_assets.reasons import IN_DOUBT, Reason, Status


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reverse_etl_assets", "sql"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - SQL, not HTML; identifiers are quoted by the caller
    )
    environment.globals |= {
        "in_doubt_reasons": words(IN_DOUBT),
        "failed_reasons": words(Reason.which(lambda meaning: meaning.status is Status.FAILED)),
    }
    return environment


def words(reasons: Iterable[Reason]) -> str:
    """What stands in an SQL list of them."""
    return ", ".join(f"'{reason}'" for reason in reasons)


def render(name: str, **names: Any) -> str:
    """The statement in `<name>.sql`."""
    return _environment().get_template(f"{name}.sql").render(**names)
