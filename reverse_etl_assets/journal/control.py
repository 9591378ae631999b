"""The kill switch in the journal, and the log of what people decided."""

from sqlalchemy import Connection, delete, insert, select, update

from reverse_etl_assets.journal import batches as journal_batches, schema as journal_schema
from reverse_etl_assets.journal.base import JournalPart, to_text
from reverse_etl_assets.journal.records import ControlEntry, Stop, scopes_of
from reverse_etl_assets.journal.stop_signals import check_scope

_stops, _control, _runs = journal_schema.stops, journal_schema.control, journal_schema.runs


class Control(JournalPart):
    def stop(self, scope: str, who: str, why: str) -> None:
        """No batch of the scope begins after this returns; batches already sent still get their answers.

        `scope` is `all`, `destination:<name>` or `sync:<name>`, else ConfigurationError.
        """
        self._switch("stop", scope, who, why)

    def resume(self, scope: str, who: str, why: str) -> None:
        """Lifts the stop of this very scope that stands in the journal; stops of other scopes stay."""
        self._switch("resume", scope, who, why)

    def stops(self) -> list[Stop]:
        """Every stop in force: those of the journal, the oldest first, then those given in files or the environment."""
        return [Stop(*row) for row in self._read(select(_stops).order_by(_stops.c.at))] + self.signals.all()

    def stopped(self, destination: str, sync: str, *, obeys_sync_stop: bool = True) -> Stop | None:
        """The stop that covers the sync, if any. Without `obeys_sync_stop` one of the sync alone does not count."""
        scopes = scopes_of(destination, sync, obeys_sync_stop=obeys_sync_stop)
        if signal := self.signals.in_force(scopes):
            return signal
        with self.database.reading() as connection:
            return journal_batches.read_stop(connection, scopes)

    def control_log(self, limit: int = 50) -> list[ControlEntry]:
        """Every stop, resumption, approval and forgetting, newest first."""
        t = _control.c
        log = select(t.action, t.scope, t.who, t.why, t.at).order_by(t.number.desc()).limit(limit)
        return [ControlEntry(*row) for row in self._read(log)]

    def log_stop(self, stop: Stop) -> None:
        """Keeps, for the log alone, a stop that was not given in the journal."""
        with self.database.writing() as connection:
            self._log(connection, "stop", stop.scope, stop.who, f"{stop.why} (given in {stop.given_in})", stop.at)

    def log_forgotten(self, sync: str, key_digest: str, who: str, why: str) -> None:
        """Keeps that a person was forgotten, with a digest of the key and not the key."""
        with self.database.writing() as connection:
            self._log(
                connection, "forget", f"sync:{sync}", who, f"{why} (SHA-256 of the key: {key_digest})", self.clock()
            )

    def hand_over(self, sync: str, state: str, *, who: str = "", why: str = "") -> None:
        """From now on all runs of the sync are those of this state; with `who` that goes into the log."""
        with self.database.writing() as connection:
            connection.execute(update(_runs).where(_runs.c.sync == sync).values(state=state))
            if who:
                self._log(connection, "recover-state", f"sync:{sync}", who, why, self.clock())

    def _switch(self, action: str, scope: str, who: str, why: str) -> None:
        check_scope(scope)
        at = self.clock()
        with self.database.writing() as connection:
            self.database.lock(connection, _stops, "EXCLUSIVE")
            connection.execute(delete(_stops).where(_stops.c.scope == scope))
            if action == "stop":
                entry = {"scope": scope, "who": to_text(who), "why": to_text(why), "at": at}
                connection.execute(insert(_stops).values(entry))
            self._log(connection, action, scope, who, why, at)

    def _log(self, connection: Connection, action: str, scope: str, who: str, why: str, at: float) -> None:
        entry = {"action": action, "scope": scope, "who": to_text(who), "why": to_text(why), "at": at}
        connection.execute(insert(_control).values(entry))
