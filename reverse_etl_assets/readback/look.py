"""Reads the records of rows back and compares each with what it should hold. Only reads."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec

from reverse_etl_assets.accounts.transport import Usage
from reverse_etl_assets.delivery.guarding import comparing
from reverse_etl_assets.delivery.session import Environment, Session, open_session
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import DestinationError, GarbledAnswer
from reverse_etl_assets.journal.records import Stopped
from reverse_etl_assets.readback.differences import Difference, Wanted, compare
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.facts import Learned
from reverse_etl_assets.state.last_check import last_check
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

CHUNK = 1_000
"""Rows between two looks at the kill switch."""


def fields_decoder() -> Callable[[str], dict[str, Any]]:
    """Reads a row's fields from the state's JSON, as they are sent."""
    return msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


class Look:
    """A look at a sync's records, as they were sent with `columns`; `usage` counts what it uses."""

    def __init__(
        self,
        sync: Sync,
        columns: Columns,
        environment: Environment,
        account: Account,
        usage: Usage,
        *,
        obeys_sync_stop: bool = True,
    ) -> None:
        self.sync, self.columns, self.environment, self.account = sync, columns, environment, account
        self._usage = usage
        self.unread = 0
        """Rows whose records the destination does not let itself be asked for, or cannot compare."""
        self.refusal = ""
        """What was said of the first of them."""
        self._obeys_sync_stop = obeys_sync_stop

    def last_check(self, con: Connection) -> Learned | None:
        """What the destination's last check learned, however old."""
        return last_check(con, self.columns, self.sync.options, None)

    async def compare(
        self,
        chunks: Iterable[Sequence[Wanted]],
        learned: Learned | None,
        add: Callable[[Wanted, Sequence[Difference]], None],
    ) -> None:
        """Tell `add` what differs of each row. Raises Stopped, CheckFailed (if one was due) or a DestinationError."""
        async with self._readable(learned) as session:
            reader: Any = session.destination
            same = comparing(reader.same, type(reader).__name__)
            for chunk in chunks:
                self.refuse_if_stopped()
                known = {each.external_id: each.destination_id for each in chunk if each.destination_id}
                found = await session.read([wanted.external_id for wanted in chunk], known)
                for error in found.refused.values():
                    self._pass_over(error)
                for wanted in chunk:
                    if wanted.external_id in found.refused:
                        continue
                    try:
                        differences = compare(wanted, found.found.get(wanted.external_id, ()), same)
                    except GarbledAnswer as error:  # the others are judged all the same
                        self._pass_over(error)
                    else:
                        add(wanted, differences)

    def _pass_over(self, error: DestinationError) -> None:
        self.unread, self.refusal = self.unread + 1, self.refusal or str(error)

    @property
    def not_judged(self) -> str:
        """Why not all rows could be looked at; empty if they were."""
        return f"{self.unread:,} of them were refused: {self.refusal}" if self.unread else ""

    def refuse_if_stopped(self) -> None:
        """What is stopped is not asked either. Raises Stopped."""
        obeys = self._obeys_sync_stop
        if stop := self.environment.journal.stopped(self.account.name, self.sync.sync, obeys_sync_stop=obeys):
            raise Stopped(stop)

    @asynccontextmanager
    async def _readable(self, learned: Learned | None) -> AsyncIterator[Session]:
        route, target = Route(self.sync, self.account.type), self.columns.target
        async with open_session(
            self.environment, self.account, route, target, self._usage, obeys_sync_stop=self._obeys_sync_stop
        ) as session:
            if learned is None:
                self.refuse_if_stopped()
                await session.check()
            else:
                session.destination.recall(learned)
            yield session
