"""What a sync answers to who asks by any value: a key, an e-mail address, a name, a vendor's id."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reverse_etl_assets.cli.answers import RowAnswer, answer_for
from reverse_etl_assets.cli.deployed import Deployed
from reverse_etl_assets.cli.row_facts import Memory, memory_of
from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import row_search
from reverse_etl_assets.state.row_search import FoundRow
from reverse_etl_assets.warehouses.columns import Columns

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
    """The keys of more rows than are answered for, unless they are not to be shown."""
    looked_at: str = ""
    obstacle: str | None = None
    """Why the model could not be searched: then nothing is said of what is in it."""
    gap: str | None = None
    """Why something of what the sync remembers is not known now."""
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
        return self._and_why(f"{where} has it {self.looked_at}.")

    @property
    def absence_of_many(self) -> str:
        """The same, said of several syncs at once."""
        where = "No row that they remember" if self.obstacle else "No row of their models, or that they remember,"
        return self._and_why(f"{where} has it as its key, in a mapped field or as the id of its record.")

    def _and_why(self, message: str) -> str:
        return " ".join(filter(None, (message, self.obstacle, self.gap)))

    @property
    def more(self) -> str | None:
        """That more rows have the value than are answered for."""
        left = self.found - len(self.rows)
        if not left:
            return None
        rows = f"{self.found:,} rows{' or more' if self.found >= row_search.MOST else ''} of {self.sync} have it."
        if not self.named:
            return f"{rows} Their keys are personal data: `--reveal` names them."
        further = f" and {left - len(self.named):,} more" if left > len(self.named) else ""
        return f"{rows} Ask for one by its key: {', '.join(self.named)}{further}."

    def as_json(self) -> list[dict[str, Any]]:
        if self.knows:
            return [row.as_json() for row in self.rows]
        answer = self.problem or self.absence
        return [{"sync": self.sync, "known": False, "answer": answer, "outcomes": [], "sent": {}}]


def absences(answers: Iterable[SyncAnswer]) -> Iterator[tuple[list[str], str]]:
    """That nothing was found, said once of all syncs of which it is to be said in the same words."""
    alike: dict[str, list[SyncAnswer]] = {}
    for answer in answers:
        alike.setdefault(answer.absence_of_many, []).append(answer)
    for of_many, group in alike.items():
        yield [each.sync for each in group], of_many if len(group) > 1 else group[0].absence


def ask(deployed: Deployed, sync: Sync, value: str, *, reveal: bool = False) -> SyncAnswer:
    """By the key; if no row has it, by any mapped field and by the record's id."""
    mask = Mask() if reveal else deployed.project.mask(sync)
    try:
        with memory_of(deployed, sync) as memory:
            by_key = answer_for(deployed, sync, memory, value, reveal=reveal)
            if by_key.known:
                return SyncAnswer(sync.sync, [by_key], found=1)
            found, obstacle = _look(deployed, sync, memory, value)
            rows = [
                answer_for(deployed, sync, memory, each.key, reveal=reveal, found_in=each.places)
                for each in found[:_MOST]
            ]
    except ReverseEtlError as error:
        return SyncAnswer(sync.sync, problem=mask.text(str(error), {}, value))
    named = [] if any(mask.key_parts) else [each.key for each in found[_MOST:][:_NAMED]]
    return SyncAnswer(sync.sync, rows, len(found), named, _places(sync), obstacle, memory.gap)


def _places(sync: Sync) -> str:
    fields = ", ".join(
        f"{field} before it is hashed" if source.transform else field for field, source in sync.mapping.items()
    )
    return f"as its key ({', '.join(sync.primary_key)}), in a mapped field ({fields}) or as the id of its record"


def _look(deployed: Deployed, sync: Sync, memory: Memory, value: str) -> tuple[list[FoundRow], str | None]:
    """Rows by key, and why the model could not be searched, if it could not."""
    project, warehouse = deployed.project, memory.environment.warehouse
    with warehouse.open(sync.sync) as con:
        found = row_search.in_state(con, value)
    try:
        with warehouse.open(sync.sync, models=True) as con:
            model = project.models[sync.model]
            types = warehouse.column_types(con, model)
            columns = Columns.on(Route(sync, deployed.destinations[sync.destination].destination_type), types)
            in_model = row_search.in_model(con, warehouse.relation(model), columns, value)
    except ReverseEtlError as error:
        return found, f"The model cannot be searched: {error}"
    return row_search.together([*in_model, *found]), None  # keys in the spelling of the model
