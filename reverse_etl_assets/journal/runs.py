"""Runs and their batches in the journal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import batches as journal_batches, schema as journal_schema
from reverse_etl_assets.journal.base import JournalPart, to_json, to_text
from reverse_etl_assets.journal.records import Run, RunKind, RunStatus, SentBatch

_PAGE = 100  # runs read at once
_WROTE = ("created", "updated", "deleted", "failed_ambiguous", "failed_unanswered")
_runs, _batches = journal_schema.runs, journal_schema.batches


class Runs(JournalPart):
    def start_run(
        self,
        run_id: str,
        sync: str,
        destination: str,
        *,
        model_rows: int | None = None,
        counts: Mapping[str, int] | None = None,
        kind: RunKind = RunKind.SYNC,
        plan_id: str | None = None,
        version: int = 1,
        undoes: str | None = None,
        state: str | None = None,
        trial: int | None = None,
    ) -> None:
        """`state` is the id of the state that the run has, `trial` how many rows a trial is to send.

        Raises StateError if there is a run of this id.
        """
        run = insert(_runs).values(
            run_id=run_id,
            sync=sync,
            destination=destination,
            status=RunStatus.OPEN,
            started_at=self.clock(),
            model_rows=model_rows,
            counts=to_json(counts or {}),
            kind=kind,
            plan_id=plan_id,
            version=version,
            undoes=undoes,
            state=state,
            trial=trial,
        )
        with self.database.writing() as connection:
            try:
                connection.execute(run)
            except IntegrityError:
                raise StateError(f"run {run_id} is in the journal already") from None

    def end_run(self, run_id: str, status: RunStatus, *, counts: Mapping[str, int], detail: str | None = None) -> None:
        """The run's outcomes are folded, so what it noted of records is deleted. Raises StateError if there is no such
        run."""
        if journal_batches.drop_notes(self.database, run_id):
            self.database.empty_log()
        end = update(_runs).values(status=status, ended_at=self.clock(), counts=to_json(counts), detail=to_text(detail))
        with self.database.writing() as connection:
            if connection.execute(end.where(_runs.c.run_id == run_id)).rowcount != 1:
                raise StateError(f"run {run_id} is not in the journal")

    def count_look(self, run_id: str) -> int:
        """One more run asks what became of this one's jobs. Returns how many have."""
        with self.database.writing() as connection:
            this = _runs.c.run_id == run_id
            connection.execute(update(_runs).where(this).values(looks=func.coalesce(_runs.c.looks, 0) + 1))
            return int(connection.scalar(select(_runs.c.looks).where(this)) or 0)

    def run(self, run_id: str) -> Run | None:
        return next(iter(self._read_runs(select(_runs).where(_runs.c.run_id == run_id))), None)

    def runs_beginning(self, run_id: str, limit: int) -> list[Run]:
        """Those whose ids begin so, newest first."""
        alike = select(_runs).where(_runs.c.run_id.startswith(run_id, autoescape=True))
        return self._read_runs(alike.order_by(_runs.c.number.desc()).limit(limit))

    def open_runs(self, sync: str) -> list[Run]:
        """The runs whose outcomes are not folded yet, oldest first."""
        unfolded = select(_runs).where(_runs.c.sync == sync, _runs.c.status == RunStatus.OPEN)
        return self._read_runs(unfolded.order_by(_runs.c.number))

    def history(self, sync: str | None, limit: int = 30, *, kind: RunKind | None = None) -> list[Run]:
        """Newest first; of one sync and one kind, or of all."""
        runs = select(_runs).order_by(_runs.c.number.desc()).limit(limit)
        runs = runs if sync is None else runs.where(_runs.c.sync == sync)
        return self._read_runs(runs if kind is None else runs.where(_runs.c.kind == kind))

    def last_run(self, sync: str) -> Run | None:
        """The newest run that sent what the sync's model asks for, or was to; undos and trials are none."""
        ours = select(_runs).where(_runs.c.sync == sync, _runs.c.kind == RunKind.SYNC, _runs.c.trial.is_(None))
        return next(iter(self._read_runs(ours.order_by(_runs.c.number.desc()).limit(1))), None)

    def latest_runs(self) -> list[Run]:
        """The newest run of every sync, by name of the sync."""
        newest = select(func.max(_runs.c.number)).group_by(_runs.c.sync)
        return self._read_runs(select(_runs).where(_runs.c.number.in_(newest)).order_by(_runs.c.sync))

    def last_writer(self, sync: str, *, known: Callable[[Run], bool] = lambda run: False) -> Run | None:
        """The newest run that wrote, or may have; None if none did, or if it or a newer one is `known`."""
        runs = select(_runs).where(_runs.c.sync == sync, _runs.c.status != RunStatus.GUARDED)
        before = None
        while True:
            query = runs if before is None else runs.where(_runs.c.number < before)
            page = self._read(query.order_by(_runs.c.number.desc()).limit(_PAGE))
            for row, run in zip(page, map(self._as_run, page), strict=True):
                if known(run):
                    return None
                if any(run.counts.get(name) for name in _WROTE) or self._has_sent(row):
                    return run
            if len(page) < _PAGE:
                return None
            before = page[-1].number

    def _has_sent(self, run: Any) -> bool:
        batches = select(_batches.c.number).where(_batches.c.run_id == run.run_id).limit(1)
        return run.status == RunStatus.OPEN and bool(self._read(batches))

    def undone_by(self, run_id: str) -> Run | None:
        """The newest run that puts this one back, also if it did not get to its end; a guarded one wrote nothing."""
        undos = select(_runs).where(_runs.c.undoes == run_id, _runs.c.status != RunStatus.GUARDED)
        return next(iter(self._read_runs(undos.order_by(_runs.c.number.desc()).limit(1))), None)

    def row_counts(self, sync: str, *, recent: int, since: float) -> list[tuple[float, int]]:
        """When successful runs started and how many rows the model had, newest first: the `recent` ones, and the last
        one of each UTC day from `since` on. Runs of a clock that was ahead of ours are among the latter only."""
        ours = (_runs.c.sync == sync, _runs.c.kind == RunKind.SYNC, _runs.c.model_rows.is_not(None))
        done = (*ours, _runs.c.status == RunStatus.DONE, _runs.c.trial.is_(None))
        number, started = _runs.c.number, _runs.c.started_at
        newest = select(number).where(*done, started <= self.clock()).order_by(number.desc()).limit(recent)
        days = select(func.max(number)).where(*done, started >= since).group_by(func.floor(started / 86_400))
        query = select(started, _runs.c.model_rows).where(or_(number.in_(newest), number.in_(days)))
        return [(row.started_at, row.model_rows) for row in self._read(query.order_by(number.desc()))]

    def batches(self, run_id: str) -> Iterator[SentBatch]:
        """In order of number, streamed."""
        return journal_batches.read_batches(self.database, run_id)

    def forget_batches(self, before: float) -> int:
        """Deletes the batches, not the runs, of folded runs that ended before this time; returns how many."""
        folded = select(_runs.c.run_id).where(_runs.c.status != RunStatus.OPEN, _runs.c.ended_at < before)
        with self.database.writing() as connection:
            return connection.execute(delete(_batches).where(_batches.c.run_id.in_(folded))).rowcount

    def ended_with_batches(self, sync: str) -> list[str]:
        """The sync's ended runs whose batches are still kept."""
        kept = select(_batches.c.run_id).distinct()
        ended = select(_runs.c.run_id).where(_runs.c.sync == sync, _runs.c.status != RunStatus.OPEN)
        return [row.run_id for row in self._read(ended.where(_runs.c.run_id.in_(kept)))]

    def forget_runs(self, sync: str, run_ids: Sequence[str], hide: Callable[[str], str]) -> None:
        """Deletes the batches of these runs; of what runs of the sync say of themselves `hide` is kept."""
        details = select(_runs.c.run_id, _runs.c.detail).where(_runs.c.sync == sync, _runs.c.detail.is_not(None))
        with self.database.writing() as connection:
            for run_id in run_ids:
                connection.execute(delete(_batches).where(_batches.c.run_id == run_id))
            for run_id, message in connection.execute(details).all():
                if (hidden := hide(message)) != message:
                    connection.execute(update(_runs).where(_runs.c.run_id == run_id).values(detail=hidden))

    def _read_runs(self, query: Select[Any]) -> list[Run]:
        return [self._as_run(row) for row in self._read(query)]

    def _as_run(self, row: Any) -> Run:
        fields = ("run_id", "sync", "destination", "started_at", "ended_at", "model_rows", "detail")
        more = ("plan_id", "version", "undoes", "state", "trial")
        return Run(
            status=RunStatus(row.status),
            counts=msgspec.json.decode(row.counts),
            kind=RunKind(row.kind),
            **{name: getattr(row, name) for name in (*fields, *more)},
        )
