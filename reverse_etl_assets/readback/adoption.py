"""`cutover: adopt`: before anything is planned, the records that the destination holds already are read back by key."""

from collections.abc import Callable, Sequence
from typing import Any

from reverse_etl_assets.accounts.transport import Usage
from reverse_etl_assets.delivery.guarding import comparing
from reverse_etl_assets.delivery.interrupts import run_interruptible
from reverse_etl_assets.delivery.session import Environment, Session, open_session
from reverse_etl_assets.destinations.base import Account, ReadsRecords, encode_json
from reverse_etl_assets.errors import DestinationError, GarbledAnswer
from reverse_etl_assets.journal.records import Stopped
from reverse_etl_assets.privacy.transforms import InvalidValue, transformed
from reverse_etl_assets.records import Current
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import adopted_rows, versions
from reverse_etl_assets.state.facts import Learned, read_facts
from reverse_etl_assets.state.last_check import last_check, remember_check
from reverse_etl_assets.warehouses.columns import Columns

_ROWS = 20_000  # in memory at once


def adopt(sync: Sync, environment: Environment, account: Account, usage: Usage) -> None:
    """Read back what a version that begins takes over; nothing if none begins that way. Only reads.

    The warehouse is closed while the destination is asked. A check comes first if one is due. Raises StateError if the
    file does not fit the state, Stopped by the kill switch, CheckFailed or a DestinationError.
    """
    warehouse, model = environment.warehouse, environment.models[sync.model]
    if sync.cutover is not Cutover.ADOPT:
        with warehouse.open(sync.sync) as con:
            if read_facts(con).recovers_by is None:
                return
    with warehouse.open(sync.sync, write=True, models=True) as con:
        columns = Columns.on(Route(sync, account.type), warehouse.column_types(con, model))
        if not versions.decide(columns, model, versions.history(con), read_facts(con)).reads:
            return
        rows = adopted_rows.note_model(con, columns, warehouse.relation(model))
        learned = last_check(con, columns, sync.options, environment.clock())
    run_interruptible(_Adoption(sync, environment, account, columns).read(usage, rows, learned))


class _Adoption:
    def __init__(self, sync: Sync, environment: Environment, account: Account, columns: Columns) -> None:
        self._sync, self._environment, self._account, self._columns = sync, environment, account, columns
        self._answered = False
        self._refusals: list[DestinationError] = []

    async def read(self, usage: Usage, rows: int, learned: Learned | None) -> None:
        sync, environment = self._sync, self._environment
        async with open_session(
            environment, self._account, Route(sync, self._account.type), self._columns.target, usage
        ) as session:
            if learned is None:
                await session.check()
                with environment.warehouse.open(sync.sync, write=True) as con:
                    found, now = session.destination.learned(), environment.clock()
                    remember_check(con, self._columns, sync.options, found, now)
            else:
                session.destination.recall(learned)
            for start in range(0, rows, _ROWS):
                with environment.warehouse.open(sync.sync) as con:
                    page = adopted_rows.page(con, self._columns, start, _ROWS)
                held = await self._held(session, page)
                with environment.warehouse.open(sync.sync, write=True) as con:
                    adopted_rows.note_held(con, held)
        if len(self._refusals) > 1 and not self._answered:  # then it is not a key that is at fault
            raise self._refusals[0]

    async def _held(
        self, session: Session, page: Sequence[tuple[int, str, Any]]
    ) -> list[tuple[int, str, str, Sequence[str]]]:
        """Rows of which there is exactly one record: its id, what it holds, and where that is not what the row says."""
        reader: Any = session.destination
        assert isinstance(reader, ReadsRecords)  # noqa: S101 - refused when the sync is loaded
        held: list[tuple[int, str, str, Sequence[str]]] = []
        same = comparing(reader.same, type(reader).__name__)
        at_once = session.destination.capabilities.read_limit * session.destination.capabilities.concurrency
        for start in range(0, len(page), at_once):
            self._obey_the_kill_switch()
            part = page[start : start + at_once]
            answers = await session.read([external_id for _, external_id, _ in part])
            found = answers.found
            self._answered |= bool(found)
            self._refusals += [*answers.refused.values()][: 2 - len(self._refusals)]
            for number, external_id, row in part:
                records = found.get(external_id, ())
                if len(records) != 1:
                    continue  # it is planned as new: its own look-up finds none, is refused, or says of several
                differing = self._differing(row, records[0], same)
                if differing is not None:
                    text = encode_json(records[0].fields).decode()
                    held.append((number, records[0].destination_id, text, differing))
        return held

    def _differing(self, row: Any, record: Current, same: Callable[[str, Any, Any], bool]) -> list[str] | None:
        """None for a row that cannot go out: the plan refuses it."""
        try:
            ours = transformed(self._sync, row)
        except InvalidValue:
            return None
        try:
            return [field for field, value in ours.items() if not same(field, value, record.fields.get(field))]
        except GarbledAnswer:  # nobody can tell: all of it is sent
            return list(ours)

    def _obey_the_kill_switch(self) -> None:
        if stop := self._environment.journal.stopped(self._account.name, self._sync.sync):
            raise Stopped(stop)
