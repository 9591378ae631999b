# ruff: noqa: S101
"""The contract that every destination keeps, as tests to inherit.

    class TestMine(DestinationContract, SchemaContract):
        destination = Mine
        target = target("people", "external_id", name=FieldType.TEXT, ...)
        ...

`harness.Harness` lists what to fill in; `abilities`, `reading` and `pace` have further tests for destinations that can
do more. One that is not reached over HTTP inherits `OutcomeContract`.
A test that a destination cannot pass by the nature of its vendor is set to None, with the reason.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import FindsRecords
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, DestinationError, RetryLater
from reverse_etl_assets.records import Operation, Reason, Status
from reverse_etl_assets.testing.builders import batch
from reverse_etl_assets.testing.harness import GOOD, Harness, Session, error_of, live, with_field
from reverse_etl_assets.testing.interference import (
    Trouble,
    answers,
    garbles_the_answer,
    loses_the_answer,
    refuses_connections,
    repeats_the_request,
    says_instead,
    times_out,
)

UPSERT = Operation.UPSERT
EMPTY_ANSWERS = (b"", b"{}", b"[]", b"null", b'{"results":[]}')
_NUMBERS = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
BROKEN_ANSWERS = (b"<html>502</html>", b'[{"success":tr', b'{"results":[{"id":')


class OutcomeContract(Harness):
    """What the engine relies on, whatever the destination and however it is reached."""

    @pytest.fixture
    def server(self) -> Iterator[Any]:
        """A server without records of the target's object."""
        raise NotImplementedError("override the fixture `server`")

    @live
    async def test_check_passes_on_the_target(self, server: Any, session: Session) -> None:
        await session.destination.check()

    @live
    async def test_capabilities_agree_with_each_other(self, server: Any, session: Session) -> None:
        able = session.destination.capabilities
        assert able.operations
        assert able.idempotent <= able.operations
        assert able.needs_id <= able.operations
        assert able.partial <= able.operations - {Operation.INSERT, Operation.DELETE}
        assert able.max_rows >= 1
        assert able.max_bytes >= 1
        assert not able.needs_id or isinstance(session.destination, FindsRecords)

    @live
    async def test_every_record_gets_one_outcome(self, server: Any, session: Session) -> None:
        rows = self.records(5)
        outcomes = await session.deliver(UPSERT, *rows)
        assert set(outcomes) == {row.key for row in rows}
        assert {outcome.status for outcome in outcomes.values()} <= {Status.CREATED, Status.UPDATED}
        assert len(self.stored(server)) == 5

    @live
    async def test_a_bad_row_fails_alone(self, server: Any, session: Session) -> None:
        rows = self.records(5)
        rows[2] = self.spoiled(rows[2])
        outcomes = await session.deliver(UPSERT, *rows)
        bad = outcomes.pop(rows[2].key)
        assert (bad.status, bad.reason) == (Status.FAILED, Reason.REJECTED)
        assert bad.error is not None
        assert bad.error.message
        assert {outcome.status for outcome in outcomes.values()} <= GOOD
        assert len(outcomes) == len(self.stored(server)) == 4

    @live
    async def test_created_and_then_updated_or_marked_inferred(self, server: Any, session: Session) -> None:
        row = self.record(1)
        first = (await session.deliver(UPSERT, row))[row.key]
        second = (await session.deliver(UPSERT, self.with_text(row, "later")))[row.key]
        assert first.status is Status.CREATED or first.inferred
        assert second.status is Status.UPDATED or second.inferred
        if session.destination.capabilities.confirms:
            assert not first.inferred
            assert not second.inferred

    @live
    async def test_an_upsert_twice_leaves_one_record(self, server: Any, session: Session) -> None:
        row = self.record(1)
        await session.deliver(UPSERT, row)
        await session.deliver(UPSERT, self.with_text(row, "later"))
        assert len(self.stored(server)) == 1
        assert self.held(server, row, self.text_field) == "later"

    @live
    async def test_a_delete_removes_and_a_second_one_does_no_harm(self, server: Any, session: Session) -> None:
        await session.deliver(UPSERT, *self.records(2))
        rows = await session.with_ids(self.record(0))
        gone = (await session.deliver(Operation.DELETE, *rows))[rows[0].key]
        assert gone.status is Status.DELETED
        assert len(self.stored(server)) == 1
        again = (await session.deliver(Operation.DELETE, *rows))[rows[0].key]
        assert again.reason is Reason.ALREADY_GONE or (again.status is Status.DELETED and again.inferred)

    @live
    async def test_null_clears_a_field(self, server: Any, session: Session) -> None:
        row = self.record(1)
        await session.deliver(UPSERT, self.with_text(row, "something"))
        await session.deliver(UPSERT, self.with_text(row, None))
        assert self.held(server, row, self.text_field) in (None, "")

    @live
    async def test_a_partial_write_leaves_the_other_fields_alone(self, server: Any, session: Session) -> None:
        await session.deliver(UPSERT, self.record(1))
        others = self.record(1).fields.keys() - {self.text_field}
        before = {name: self.held(server, self.record(1), name) for name in others}
        for operation in sorted(session.destination.capabilities.partial):
            row = replace(self.record(1), fields={self.text_field: operation.value})
            await session.deliver(operation, *await session.with_ids(row))
            assert self.held(server, row, self.text_field) == operation.value
            assert {name: self.held(server, row, name) for name in others} == before

    @live
    async def test_text_arrives_as_it_is(self, server: Any, session: Session) -> None:
        row = self.record(1)
        for text in ("Zoë 日本語 😀", 'quote " comma , back\\slash', "two\nlines", "<b>&amp;</b> {{ key }}"):
            await session.deliver(UPSERT, self.with_text(row, text))
            assert self.held(server, row, self.text_field) == text

    @live
    async def test_a_time_arrives_as_the_same_moment(self, server: Any, session: Session) -> None:
        if self.timestamp_field is None:
            return
        row = with_field(self.record(1), self.timestamp_field, "2026-03-29T01:30:00.250+05:30")
        await session.deliver(UPSERT, row)
        held = datetime.fromisoformat(self.held(server, row, self.timestamp_field))
        assert abs(held - datetime.fromisoformat("2026-03-28T20:00:00.250+00:00")) < self.finest_time

    @live
    async def test_keys_fold_as_the_capabilities_say(self, server: Any, session: Session) -> None:
        row = self.record(1)
        other = replace(row, key="other", external_id=row.external_id.swapcase())
        assert other.external_id != row.external_id
        await session.deliver(UPSERT, row)
        await session.deliver(UPSERT, other)
        assert len(self.stored(server)) == (1 if session.destination.capabilities.fold_case else 2)

    @live
    async def test_a_full_batch_is_taken(self, server: Any, session: Session) -> None:
        rows = self.records(session.destination.capabilities.max_rows)
        outcomes = await session.send(batch(UPSERT, *rows))
        assert {outcome.status for outcome in outcomes} <= {Status.CREATED, Status.UPDATED}
        assert len(self.stored(server)) == len(outcomes) == len(rows)


class DestinationContract(OutcomeContract):
    """What the engine relies on of a destination over HTTP."""

    @live
    async def test_outcomes_name_only_rows_of_the_batch(self, server: Any, session: Session) -> None:
        most = min(3, session.destination.capabilities.max_rows)
        one, other = batch(UPSERT, *self.records(6)[:most]), batch(UPSERT, *self.records(6)[3 : 3 + most])
        answer = await session.destination.exchange(session.destination.build_request(one))
        keys = {outcome.key for outcome in session.destination.read_response(other, answer)}
        assert keys <= {row.key for row in other.records}

    @live
    async def test_what_is_told_of_the_quota_makes_sense(self, server: Any, session: Session) -> None:
        sent = session.destination.build_request(batch(UPSERT, self.record(1)))
        quota = session.destination.quota(await session.destination.exchange(sent))
        assert quota is None or 0 <= quota.used <= quota.limit > 0
        assert session.destination.quota(httpx.Response(200)) is None

    @live
    async def test_a_decimal_keeps_every_digit_in_the_request(self, server: Any, session: Session) -> None:
        if self.decimal_field is None:
            return
        for digits in ("12345678901234567.89", "0.10", "-0.000000001"):
            row = with_field(self.record(1), self.decimal_field, Decimal(digits))
            request = session.destination.build_request(batch(UPSERT, row))
            numbers = {Decimal(found.decode()) for found in _NUMBERS.findall(request.content)}
            assert Decimal(digits) in numbers, request.content

    @live
    async def test_building_a_request_is_pure(self, server: Any, session: Session) -> None:
        rows = await self._all_operations(session)
        before = len(session.wire.sent)
        for sent in rows:
            one, other = session.destination.build_request(sent), session.destination.build_request(sent)
            assert (one.method, str(one.url), one.content) == (other.method, str(other.url), other.content)
            assert dict(one.headers) == dict(other.headers)
            assert len(one.content) <= session.destination.capabilities.max_bytes
        assert len(session.wire.sent) == before

    async def _all_operations(self, session: Session) -> list[Any]:
        able = session.destination.capabilities
        row = replace(self.record(1), destination_id="1")
        return [batch(operation, row) for operation in sorted(able.operations)]

    @live
    async def test_a_rate_limit_holds_for_the_time_it_names(self, server: Any, session: Session) -> None:
        error = await self._meeting(session, answers(429, Retry_After="7"))
        assert isinstance(error, RetryLater)
        assert (error.after, error.hold) == (7.0, True)
        assert not self.stored(server)

    @live
    async def test_a_busy_server_is_asked_again(self, server: Any, session: Session) -> None:
        assert isinstance(await self._meeting(session, answers(503)), RetryLater)
        assert isinstance(await self._meeting(session, refuses_connections), RetryLater)

    @live
    async def test_a_server_error_is_ambiguous(self, server: Any, session: Session) -> None:
        assert isinstance(await self._meeting(session, answers(500)), Ambiguous)

    @live
    async def test_a_lost_answer_is_ambiguous_and_sending_again_does_no_harm(
        self, server: Any, session: Session
    ) -> None:
        assert isinstance(await self._meeting(session, loses_the_answer), Ambiguous)
        assert isinstance(await self._meeting(session, times_out), Ambiguous)
        row = self.record(1)
        assert (await session.deliver(UPSERT, row))[row.key].status in GOOD
        assert len(self.stored(server)) == 1

    @live
    async def test_an_answer_that_names_nobody_is_no_success(self, server: Any, session: Session) -> None:
        await self._no_success(session, EMPTY_ANSWERS)

    @live
    async def test_a_broken_answer_is_no_success(self, server: Any, session: Session) -> None:
        await self._no_success(session, BROKEN_ANSWERS)

    @live
    async def test_an_answer_that_cannot_be_unpacked_is_ambiguous(self, server: Any, session: Session) -> None:
        assert isinstance(await self._meeting(session, garbles_the_answer), Ambiguous)

    async def _no_success(self, session: Session, bodies: tuple[bytes, ...]) -> None:
        sent = batch(UPSERT, self.record(1))
        session.wire.aim(session.destination.build_request(sent))
        for body in bodies:
            session.wire.troubles = [says_instead(body)]
            try:
                outcomes = await session.destination.send(sent)
            except Ambiguous:
                continue
            assert not [outcome for outcome in outcomes if outcome.status is not Status.FAILED], body

    @live
    async def test_an_expired_token_is_renewed_or_stops_the_run(self, server: Any, session: Session) -> None:
        sent = batch(UPSERT, self.record(1))
        session.wire.aim(session.destination.build_request(sent))
        session.wire.troubles = [answers(401)]
        error = await error_of(session.destination.send(sent))
        assert isinstance(error, AuthenticationFailed) if error else len(self.stored(server)) == 1

    @live
    async def test_a_refused_token_stops_the_run(self, server: Any, session: Session) -> None:
        session.wire.always = answers(401)
        assert isinstance(await self._meeting(session), AuthenticationFailed)

    @live
    async def test_no_secret_is_shown(self, server: Any, session: Session) -> None:
        shown = [repr(session.destination), repr(self.connection(server)), str(self.connection(server))]
        for trouble in (answers(401), refuses_connections, *map(repeats_the_request, (400, 403, 429, 500))):
            session.wire.always = trouble
            error = await self._meeting(session)
            shown += [str(error), repr(error), repr(error.__cause__) if error else ""]
        shown += [str(request.url) for request in session.wire.sent]
        for secret in self.secrets(server):
            assert secret not in "\n".join(shown)

    async def _meeting(self, session: Session, *troubles: Trouble) -> DestinationError | None:
        """The error of sending one record into troubles; a look-up before it meets none."""
        session.wire.method = session.wire.path = ""
        sent = batch(UPSERT, *await session.addressed(UPSERT, self.record(1)))
        session.wire.aim(session.destination.build_request(sent))
        session.wire.troubles = list(troubles)
        error = await error_of(session.destination.send(sent))
        assert error is None or isinstance(error, DestinationError)
        return error
