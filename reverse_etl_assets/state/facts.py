"""What a state knows of itself, as one record. In the file each fact is a row of names and text, those alone that are
known."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, get_type_hints

import duckdb
import msgspec

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.spec.policies import Cutover

Learned = dict[str, list[str]]
"""What a destination's check found out, by the adapter's own names."""


@dataclass
class Facts:
    """None, false or empty is what is not known. Times are seconds since 1970, `newest` as the model has it."""

    format: str | None = None
    """The form of the state file."""
    sync: str | None = None
    """The sync that it belongs to."""
    state_id: str | None = None
    """Its id in the journal, from which it tells whether it is the one that wrote."""
    accepted_runs: list[str] = field(default_factory=list)
    """Runs that a person has taken for no mismatch."""
    key_texts: str | None = None
    """How the texts of keys are written that rows are remembered by."""
    shared_noted: bool = False
    """Rows of one record are written down; an earlier release did not look."""

    # runs
    began_to_send: str | None = None
    """The last run that did, which the journal has to know."""
    sent_run: str | None = None
    """The last run of which the destination took something, or may have."""
    folded_run: str | None = None
    """The last run whose answers are in."""

    # the compare, once its run was folded
    newest: datetime | None = None
    """The newest modification that was compared."""
    full_compared_at: float | None = None
    """When every row was compared last; not known once another cause may make any row differ."""
    full_compared_as: str | None = None
    """The sync that it was compared by, as text."""

    # versions
    begun_told: bool = False
    """A run of the version was folded, so how it began need not be said any more."""
    recovers_by: Cutover | None = None
    """How the next run begins, by a person's word on a state that was lost."""

    # the destination's last check
    checked: str | None = None
    """Of what: destination, target and options as text. None: the next run checks."""
    checked_at: float | None = None
    learned: Learned = field(default_factory=dict)

    # the outbox, and all that its fold will need
    outbox_run: str | None = None
    """The run that it belongs to; None while it is being made."""
    outbox_sync: str | None = None
    """The sync that it was made by, as text."""
    outbox_types: dict[str, str] = field(default_factory=dict)
    """The types of the model's columns."""
    outbox_fold_case: bool = False
    outbox_fold_blanks: bool = False
    outbox_id_separator: str | None = None
    outbox_of_model: bool = False
    """It was made by comparing the model, so its refusals count."""
    outbox_definition: str | None = None
    """What the sync's version means once this was sent, as text."""
    outbox_newest: datetime | None = None
    outbox_trial: bool = False
    """It has a few rows of what differs; the others are as they were."""
    outbox_full: float | None = None
    """When every row was compared for it."""


def read_facts(con: duckdb.DuckDBPyConnection, database: str = "state") -> Facts:
    """None are known of a sync that never ran. Raises StateError if one cannot be read."""
    try:
        found = dict(con.execute(f"select name, value from {database}.facts").fetchall())
    except duckdb.CatalogException:
        return Facts()
    return Facts(**{name: _decoded(name, found[name]) for name in _TYPES if found.get(name) is not None})


@contextmanager
def changing_facts(con: duckdb.DuckDBPyConnection, database: str = "state") -> Iterator[Facts]:
    """The facts, to be set; at the end those that differ are written in one statement, so that a process that is killed
    in the middle has lost none. Nothing is written if an error ends it."""
    facts = read_facts(con, database)
    before = deepcopy(facts)
    yield facts
    changed = {name: getattr(facts, name) for name in _TYPES if getattr(facts, name) != getattr(before, name)}
    if changed:
        values = [_encoded(value) for value in changed.values()]
        con.execute(_WRITE.format(database=database), {"names": list(changed), "values": values})


_TYPES = {each.name: get_type_hints(Facts)[each.name] for each in fields(Facts)}
_WRITE = """
merge into {database}.facts as facts
using (select unnest($names::varchar[]) as name, unnest($values::varchar[]) as value) as new
on facts.name = new.name
when matched and new.value is null then delete
when matched then update set value = new.value
when not matched and new.value is not null then insert by name
"""


def _encoded(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else None
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value


def _decoded(name: str, text: str) -> Any:
    kind = _TYPES[name]
    if kind is bool:
        return text in ("yes", "True")  # as earlier releases wrote some of them
    if kind == str | None:
        return text
    try:
        if kind == float | None:
            return float(text)
        if kind == datetime | None:
            return datetime.fromisoformat(text)
        return Cutover(text) if kind == Cutover | None else msgspec.json.decode(text, type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise StateError(f"the state is damaged: its fact `{name}` cannot be read. Put a copy of it back.") from error
