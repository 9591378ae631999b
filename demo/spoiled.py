"""What became of the rows that the demo spoiled at the source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from reverse_etl_assets import Project

_BY_ID, _BY_EMAIL, _LEADS = "salesforce_contacts", "hubspot_contacts", "salesforce_leads"

EXPECTED: Mapping[tuple[str, str], str] = {
    # Salesforce takes a contact without an address; HubSpot matches by it.
    ("null_email", _BY_ID): "updated",
    ("null_email", _BY_EMAIL): "failed invalid",
    ("invalid_email", _BY_ID): "failed rejected",
    ("invalid_email", _BY_EMAIL): "failed rejected",
    # Names have 40 and 80 characters in Salesforce, 65,536 in HubSpot.
    ("first_name_too_long", _BY_ID): "failed rejected",
    ("first_name_too_long", _BY_EMAIL): "updated",
    ("last_name_too_long", _BY_ID): "failed rejected",
    ("last_name_too_long", _BY_EMAIL): "updated",
    # dbt warns of it, and neither vendor minds.
    ("unknown_country", _BY_ID): "updated",
    ("unknown_country", _BY_EMAIL): "updated",
    # One address for HubSpot, which ignores case; two customers for Salesforce.
    ("same_email_in_other_case", _BY_ID): "updated",
    ("same_email_in_other_case", _BY_EMAIL): "failed invalid",
    ("null_key", _LEADS): "failed invalid",
}
_ALSO = {"same_email_in_other_case": {"unchanged"}}
"""The customer whose address was taken by the other one has not changed for Salesforce."""


@dataclass(frozen=True)
class Fate:
    """One spoiled row at one sync."""

    defect: str
    sync: str
    key: str | None
    status: str
    reason: str | None
    code: str | None
    message: str | None

    @property
    def as_expected(self) -> bool:
        found = " ".join(filter(None, (self.status, self.reason)))
        return found == EXPECTED[self.defect, self.sync] or found in _ALSO.get(self.defect, ())


def fates(project: Project, planted: Mapping[str, Sequence[str]], runs: Mapping[str, str]) -> list[Fate]:
    """The outcome of each planted row in each sync that has it; `runs` are the ids of the syncs' runs."""
    emails = _emails(project, [key for keys in planted.values() for key in keys])
    found: list[Fate] = []
    for defect, sync in EXPECTED:
        keys: Sequence[str | None] = planted[defect]
        if sync == _BY_EMAIL:
            keys = list(dict.fromkeys((emails[key] or "").lower() or None for key in planted[defect]))
        elif sync == _LEADS:
            keys = [None]
        with project.warehouse.open(sync) as con:
            found.extend(Fate(defect, sync, *row) for key in keys for row in _outcomes(con, runs[sync], key))
    return found


def _emails(project: Project, customers: Sequence[str]) -> dict[str, str | None]:
    with duckdb.connect(str(project.warehouse.database), read_only=True) as con:
        query = "select customer_id, email from raw.customers where list_contains($ids, customer_id)"
        return dict(con.execute(query, {"ids": list(customers)}).fetchall())


def _outcomes(con: duckdb.DuckDBPyConnection, run_id: str, key: str | None) -> list[tuple[Any, ...]]:
    rows = con.execute(
        "select coalesce(key, '(none)'), status, reason, code, message from state.outcomes"
        " where run_id = $run and lower(key) is not distinct from lower($key)",
        {"run": run_id, "key": key},
    ).fetchall()
    return list(dict.fromkeys(rows)) or [(key, "unchanged", None, None, None)]
