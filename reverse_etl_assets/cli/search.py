"""What a sync answers to who asks by any value: a key, an e-mail address, a name, a vendor's id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reverse_etl_assets import row_search
from reverse_etl_assets.cli.answers import RowAnswer, answer_for
from reverse_etl_assets.cli.deployed import Deployed
from reverse_etl_assets.decisions import columns_of
from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.row_search import FoundRow
from reverse_etl_assets.spec import Sync

_MOST = 3
"""Rows that are answered for; of more the keys are named."""
_NAMED = 20


@dataclass(frozen=True)
class SyncAnswer:
    """A sync's rows in which the value stands."""

    sync: str
    rows: Sequence[RowAnswer] = ()
    found: int = 0
    named: Sequence[str] = ()
    """The keys of more rows than are answered for, as they may be shown."""
    looked_at: str = ""
    obstacle: str | None = None
    """Why the model could not be searched: then nothing is said of what is in it."""
    problem: str | None = None
    """Why there is no answer at all."""

    @property
    def knows(self) -> bool:
        return bool(self.rows)

    @property
    def absence(self) -> str:
        """That nothing was found, and where."""
        where = (
            "No row that this sync remembers" if self.obstacle else "No row of the model, or that this sync remembers,"
        )
        said = f"{where} has it {self.looked_at}."
        return f"{said} {self.obstacle}" if self.obstacle else said

    def as_json(self) -> list[dict[str, Any]]:
        if self.knows:
            return [row.as_json() for row in self.rows]
        answer = self.problem or self.absence
        return [{"sync": self.sync, "known": False, "answer": answer, "outcomes": [], "sent": {}}]


def ask(deployed: Deployed, sync: Sync, value: str, *, reveal: bool = False) -> SyncAnswer:
    """By the key; if no row has it, by any mapped field and by the record's id."""
    try:
        by_key = answer_for(deployed, sync, value, reveal=reveal)
        if by_key.known or not value.strip():
            return SyncAnswer(sync.sync, [by_key], found=1) if by_key.known else SyncAnswer(sync.sync, looked_at="")
        found, obstacle = _look(deployed, sync, value)
        rows = [answer_for(deployed, sync, each.key, reveal=reveal, found_in=each.places) for each in found[:_MOST]]
    except ReverseEtlError as error:
        return SyncAnswer(sync.sync, problem=deployed.project.mask(sync).text(str(error), {}, value))
    mask = deployed.project.mask(sync)
    more = found[_MOST:][:_NAMED]
    named = [each.key if reveal else mask.key(each.key) or "" for each in more]
    return SyncAnswer(sync.sync, rows, len(found), named, _places(sync), obstacle)


def _places(sync: Sync) -> str:
    fields = ", ".join(sync.mapping)
    return f"as its key ({', '.join(sync.primary_key)}), in a mapped field ({fields}) or as the id of its record"


def _look(deployed: Deployed, sync: Sync, value: str) -> tuple[list[FoundRow], str | None]:
    """Rows by key, and why the model could not be searched, if it could not."""
    project = deployed.project
    with project.warehouse.open(sync.sync) as con:
        found = row_search.in_state(con, value)
    try:
        with project.warehouse.open(sync.sync, models=True) as con:
            model = project.models[sync.model]
            types = project.warehouse.column_types(con, model)
            columns = columns_of(sync, deployed.destinations[sync.destination].destination_type, types)
            in_model = row_search.in_model(con, project.warehouse.relation(model), columns, value)
    except ReverseEtlError as error:
        return found, f"The model cannot be searched: {error}"
    return row_search.together([*in_model, *found]), None  # keys in the spelling of the model
