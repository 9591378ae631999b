# ruff: noqa: S101
"""The contract of destinations that can read back: tests to inherit beside `contract.DestinationContract`.

What was read has to be what is there, in a form that can be written back; and nothing may be taken for absent, or for
equal, that is not.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from reverse_etl_assets.destinations.base import ReadsRecords, encode_json
from reverse_etl_assets.errors import RetryLater
from reverse_etl_assets.records import Operation, Outcome, Record
from reverse_etl_assets.testing.harness import GOOD, Harness, Session, error_of, live
from reverse_etl_assets.testing.interference import says_instead

UPSERT = Operation.UPSERT
NOTHING_SAID = (b"", b"{}", b"[]", b"null", b"<html>502</html>", b'{"results":[{"id":', b'{"records":[{"Id":')


class ReadBackContract(Harness):
    """For destinations that can read back."""

    values: ClassVar[Mapping[str, tuple[Any, Any]]]
    """Two values, not the same, for each field of the target that a person may change; of every type you support."""
    never_empty: ClassVar[frozenset[str]] = frozenset()
    """Those of them that cannot be cleared."""

    def duplicate(self, server: Any, record: Record) -> None:
        """Make a second record that carries the same external id."""
        raise NotImplementedError("override `duplicate`, or set test_all_records_of_a_key_are_told to None")

    @live
    async def test_what_was_written_is_read(self, server: Any, session: Session) -> None:
        rows = [self._with_values(self.record(number), 0) for number in range(3)]
        outcomes = await self._put(session, *rows)
        found = await session.read(*(row.external_id for row in rows))
        for row in rows:
            [held] = found[row.external_id]
            assert held.destination_id == outcomes[row.key].destination_id
            for name, value in row.fields.items():
                assert _reader(session).same(name, value, held.fields[name]), (name, value, held.fields[name])

    @live
    async def test_a_record_that_is_not_there_is_none(self, server: Any, session: Session) -> None:
        await self._put(session, *self.records(2))
        absent, there = self.record(9).external_id, self.record(1).external_id
        found = await session.read(absent, there)
        assert found[absent] == []
        assert len(found[there]) == 1
        [row] = await session.with_ids(self.record(1))
        await session.deliver(Operation.DELETE, row)
        assert await session.read(there) == {there: []}

    @live
    async def test_a_record_is_read_by_its_id_where_its_key_finds_none(self, server: Any, session: Session) -> None:
        """A look-up by key may lag behind, and somebody may have given the record another key."""
        row, absent = self.record(1), self.record(9).external_id
        known = (await self._put(session, row))[row.key].destination_id
        assert known, "the outcome names no id: set this test to None if the destination has none"
        [held] = (await session.read(absent, known={absent: known}))[absent]
        assert held.destination_id == known
        [gone] = await session.with_ids(row)
        await session.deliver(Operation.DELETE, gone)
        assert await session.read(absent, known={absent: known}) == {absent: []}

    @live
    async def test_a_key_is_told_as_it_was_asked(self, server: Any, session: Session) -> None:
        row = self.record(1)
        await self._put(session, row)
        asked = row.external_id.swapcase()
        folds = session.destination.capabilities.fold_case
        assert {key: len(held) for key, held in (await session.read(asked)).items()} == {asked: int(folds)}

    @live
    async def test_all_records_of_a_key_are_told(self, server: Any, session: Session) -> None:
        row = self.record(1)
        await self._put(session, row)
        self.duplicate(server, row)
        held = (await session.read(row.external_id))[row.external_id]
        assert len({each.destination_id for each in held}) == len(held) == 2

    @live
    async def test_a_field_without_a_value_is_none(self, server: Any, session: Session) -> None:
        for empty in (None, ""):
            row = self.with_text(self._with_values(self.record(1), 0), empty)
            await self._put(session, row)
            assert (await self._read(session, row))[self.text_field] is None

    @live
    async def test_what_was_read_can_be_written_back(self, server: Any, session: Session) -> None:
        full = self._with_values(self.record(1), 0)
        await self._write_and_restore(server, session, full, self._with_values(full, 1))

    @live
    async def test_what_had_no_value_can_be_written_back(self, server: Any, session: Session) -> None:
        empty = self._with_values(self.record(1), None)
        await self._write_and_restore(server, session, empty, self._with_values(empty, 1))

    async def _write_and_restore(self, server: Any, session: Session, row: Record, other: Record) -> None:
        await self._put(session, row)
        before, held = self._image(server), await self._read(session, row)
        for operation in sorted(session.destination.capabilities.operations & {UPSERT, Operation.UPDATE}):
            await self._put(session, other)
            changed = await self._read(session, row)
            assert [name for name in self.values if changed[name] == held[name]] == []
            assert self._image(server) != before
            [addressed] = await session.with_ids(row)
            outcomes = await session.deliver(operation, replace(addressed, fields=_kept_as_json(held)))
            assert outcomes[row.key].status in GOOD, outcomes
            assert self._image(server) == before

    @live
    async def test_same_tells_values_apart(self, server: Any, session: Session) -> None:
        same = _reader(session).same
        row = self._with_values(self.record(1), 0)
        await self._put(session, row)
        held = await self._read(session, row)
        for name, (one, other) in self.values.items():
            assert same(name, one, held[name]), (name, one, held[name])
            assert same(name, held[name], held[name]), name
            assert not same(name, other, held[name]), (name, other, held[name])
            assert not same(name, None, held[name]), name
            assert not same(name, one, None), name
            assert same(name, None, None)
        assert same(self.text_field, "", None)

    @live
    async def test_same_forgives_what_cannot_be_held(self, server: Any, session: Session) -> None:
        if self.timestamp_field is None:
            return
        row = self._with_values(self.record(1), 0)
        moment = "2026-03-29T01:30:00.123456+05:30"
        row = replace(row, fields={**row.fields, self.timestamp_field: moment})
        await self._put(session, row)
        held = (await self._read(session, row))[self.timestamp_field]
        same = _reader(session).same
        assert same(self.timestamp_field, moment, held)
        assert same(self.timestamp_field, "2026-03-28T20:00:00.123456Z", held)
        assert not same(self.timestamp_field, "2026-03-29T01:30:00.123456Z", held)

    @live
    async def test_more_records_than_one_read_takes(self, server: Any, session: Session) -> None:
        most = session.destination.capabilities.read_limit
        assert most >= 1
        rows = self.records(most + 1)
        await self._put(session, *rows)
        found = await session.read(*(row.external_id for row in rows))
        assert [len(held) for held in found.values()] == [1] * len(rows)

    @live
    async def test_the_time_of_a_change_is_in_utc_and_does_not_go_back(self, server: Any, session: Session) -> None:
        row = self.record(1)
        times = []
        for text in ("one", "two"):
            await self._put(session, self.with_text(row, text))
            [held] = (await session.read(row.external_id))[row.external_id]
            times.append(held.changed_at)
        assert all(time is None or time.utcoffset() == timedelta() for time in times), times
        assert times == sorted(times, key=lambda time: time.timestamp() if time else 0)

    @live
    async def test_an_answer_that_says_nothing_is_no_absence(self, server: Any, session: Session) -> None:
        row = self.record(1)
        await self._put(session, row)
        await session.read(row.external_id)
        session.wire.aim(session.wire.sent[-1])
        for body in NOTHING_SAID:
            session.wire.troubles = [says_instead(body)]
            error = await error_of(session.read(row.external_id))
            assert isinstance(error, RetryLater), (body, error)

    @live
    async def test_reading_changes_nothing(self, server: Any, session: Session) -> None:
        await self._put(session, self._with_values(self.record(1), 0))
        before = self._image(server)
        await session.read(self.record(1).external_id, self.record(2).external_id)
        assert self._image(server) == before

    async def _put(self, session: Session, *rows: Record) -> Mapping[str, Outcome]:
        await session.destination.check()  # which may learn what reading needs, too
        outcomes = await session.deliver(UPSERT, *rows)
        assert {outcome.status for outcome in outcomes.values()} <= GOOD, outcomes
        return outcomes

    async def _read(self, session: Session, row: Record) -> Mapping[str, Any]:
        [held] = (await session.read(row.external_id))[row.external_id]
        assert set(held.fields) == set(self.target.fields)
        return held.fields

    def _with_values(self, row: Record, which: int | None) -> Record:
        """The record with the first or the second value of each field, or without a value where that may be."""
        fields = dict(row.fields)
        for name, pair in self.values.items():
            if which is not None:
                fields[name] = pair[which]
            else:
                fields[name] = pair[0] if name in self.never_empty else None
        return replace(row, fields=fields)

    def _image(self, server: Any) -> dict[str, dict[str, str]]:
        """All values that the server holds, types and all; a field without a value is left out."""
        return {
            key: {name: repr(value) for name, value in fields.items() if value not in (None, "")}
            for key, fields in self.stored(server)
        }


def _kept_as_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of values that are kept for a while, as the engine does."""
    return msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(encode_json(fields))


def _reader(session: Session) -> ReadsRecords:
    assert isinstance(session.destination, ReadsRecords)
    return session.destination
