# ruff: noqa: S101
"""The contract of abilities that a destination may add: tests to inherit beside `contract.DestinationContract`.

`LookupContract` is for destinations that find records, `SchemaContract` for those whose check reads the object's
fields, `JobContract` for those that run jobs; `reading.ReadBackContract` is for those that can read back.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from reverse_etl_assets.destinations.base import FindsRecords, JobState, ReadsRecords, RunsJobs
from reverse_etl_assets.destinations.values import plain_text
from reverse_etl_assets.errors import CheckFailed
from reverse_etl_assets.records import FieldType, Operation, Reason, Status
from reverse_etl_assets.testing.builders import batch
from reverse_etl_assets.testing.harness import GOOD, Harness, Session, error_of, live, with_field

UPSERT = Operation.UPSERT
NO_TEXTS: Mapping[FieldType, Any] = {
    FieldType.INTEGER: 7,
    FieldType.DECIMAL: Decimal("12.50"),
    FieldType.FLOAT: 0.25,
    FieldType.BOOLEAN: True,
    FieldType.DATE: "2026-01-31",
}
"""Values that lose nothing when they are written as text."""


class LookupContract(Harness):
    """For destinations that find records by external id."""

    @live
    async def test_found_ids_are_those_of_the_records(self, server: Any, session: Session) -> None:
        rows = self.records(3)
        outcomes = await session.deliver(UPSERT, *rows)
        absent = self.record(9).external_id
        found = await _finder(session).find([*(row.external_id for row in rows), absent])
        assert {key: list(ids) for key, ids in found.items()} == {
            absent: [],
            **{row.external_id: [outcomes[row.key].destination_id] for row in rows},
        }

    @live
    async def test_one_lookup_takes_as_many_keys_as_it_says(self, server: Any, session: Session) -> None:
        finder = _finder(session)
        keys = [self.record(number).external_id for number in range(session.destination.capabilities.find_limit)]
        before = len(session.wire.sent)
        assert list(await finder.find(keys)) == keys
        assert len([request for request in session.wire.sent[before:] if "token" not in request.url.path]) == 1

    @live
    async def test_keys_with_quotes_are_only_keys(self, server: Any, session: Session) -> None:
        for key in ("' OR Name != '", "\\", "it's", '"', "a\\' OR 1=1 --", "%00", "\n"):
            assert await _finder(session).find([key]) == {key: []}

    @live
    async def test_an_update_changes_the_record_that_was_found(self, server: Any, session: Session) -> None:
        await session.deliver(UPSERT, *self.records(2))
        rows = await session.with_ids(self.with_text(self.record(1), "changed"))
        outcome = (await session.deliver(Operation.UPDATE, *rows))[rows[0].key]
        assert outcome.status is Status.UPDATED
        assert self.held(server, rows[0], self.text_field) == "changed"
        assert self.held(server, self.record(0), self.text_field) != "changed"

    @live
    async def test_an_update_of_a_record_that_is_gone_is_skipped(self, server: Any, session: Session) -> None:
        await session.deliver(UPSERT, *self.records(2))
        gone, there = await session.with_ids(*self.records(2))
        await session.deliver(Operation.DELETE, gone)
        rows = (self.with_text(gone, "changed"), self.with_text(there, "changed"))
        outcomes = await session.deliver(Operation.UPDATE, *rows)
        assert (outcomes[gone.key].status, outcomes[gone.key].reason) == (Status.SKIPPED, Reason.NOT_FOUND)
        assert outcomes[there.key].status is Status.UPDATED
        assert len(self.stored(server)) == 1

    @live
    async def test_an_insert_of_what_is_there_is_skipped(self, server: Any, session: Session) -> None:
        row = self.record(1)
        first = (await session.deliver(Operation.INSERT, row))[row.key]
        again = (await session.deliver(Operation.INSERT, self.with_text(row, "other")))[row.key]
        assert first.status is Status.CREATED
        assert (again.status, again.reason) == (Status.SKIPPED, Reason.ALREADY_EXISTS)
        assert self.held(server, row, self.text_field) != "other"


class SchemaContract(Harness):
    """For destinations whose check reads the object's fields."""

    read_only_field: str
    """A field of the object that nobody can write."""
    timestamp_is_text: bool = False
    """The vendor has no field for a time, and keeps one as text."""
    address_field: str | None = None
    """A field that holds an e-mail address and nothing else, if the vendor has one."""

    @live
    async def test_check_names_everything_that_is_wrong_at_once(self, server: Any, session: Session) -> None:
        misspelt = self.text_field + "x"
        fields = {
            **self.target.fields,
            misspelt: FieldType.TEXT,
            self.read_only_field: FieldType.TEXT,
            **({self.decimal_field: FieldType.BOOLEAN} if self.decimal_field else {}),
        }
        problems = await self._problems(server, replace(self.target, external_id="no_such_key", fields=fields))
        for name in filter(None, ("no_such_key", misspelt, self.read_only_field, self.decimal_field)):
            assert any(f"`{name}`" in problem for problem in problems), (name, problems)
        assert any(f"`{misspelt}`" in each and f"`{self.text_field}`" in each for each in problems), problems

    @live
    async def test_check_refuses_values_that_do_not_fit(self, server: Any, session: Session) -> None:
        unfit = {
            self.decimal_field: (FieldType.TEXT, FieldType.DATE),
            self.timestamp_field: () if self.timestamp_is_text else (FieldType.DECIMAL, FieldType.BOOLEAN),
        }
        for field, kind in [(field, kind) for field, kinds in unfit.items() if field for kind in kinds]:
            fields = {**self.target.fields, field: kind}
            problems = await self._problems(server, replace(self.target, fields=fields))
            assert [problem for problem in problems if f"`{field}`" in problem and kind.value in problem]

    @live
    async def test_what_is_no_text_goes_into_a_field_of_text(self, server: Any, session: Session) -> None:
        for number, (kind, value) in enumerate(NO_TEXTS.items()):
            target = replace(self.target, fields={**self.target.fields, self.text_field: kind})
            row = self.with_text(self.record(number), value)
            async with self.open(server, target) as checked:
                await checked.destination.check()
                learned = checked.destination.learned()
                first = (await checked.deliver(UPSERT, row))[row.key]
            async with self.open(server, target) as recalled:
                recalled.destination.recall(learned)
                await recalled.deliver(UPSERT, row)
                if isinstance(recalled.destination, ReadsRecords):
                    assert recalled.destination.same(self.text_field, value, plain_text(value))
            assert first.status in GOOD, (kind, first)
            assert self.held(server, row, self.text_field) == plain_text(value)

    @live
    async def test_a_key_that_is_a_number_is_refused_or_written(self, server: Any, session: Session) -> None:
        """Where the destination's key is text, a number fits it; an address it never is."""
        target = replace(self.target, key_type=FieldType.INTEGER)
        key = target.external_id
        if key in target.fields:
            target = replace(target, fields={**target.fields, key: FieldType.INTEGER})
        async with self.open(server, target) as checked:
            refused = await error_of(checked.destination.check())
            if isinstance(refused, CheckFailed):
                assert any(f"`{key}`" in each and "integer" in each for each in refused.problems), refused.problems
                return
            assert refused is None
            row = self.with_text(replace(self.record(1), external_id="4711"), "first")
            row = with_field(row, key, 4711) if key in row.fields else row
            written = (await checked.deliver(UPSERT, row))[row.key]
            assert written.status in GOOD, written
            assert [str(held) for held, _ in self.stored(server)] == ["4711"]
            if isinstance(checked.destination, FindsRecords):
                assert await checked.destination.find(["4711"]) == {"4711": [written.destination_id]}
            again = (await checked.deliver(UPSERT, self.with_text(row, "second")))[row.key]
            assert again.status in GOOD, again
            assert self.held(server, row, self.text_field) == "second"

    @live
    async def test_what_is_no_address_never_fits_one(self, server: Any, session: Session) -> None:
        if self.address_field is None:
            return
        for kind in NO_TEXTS:
            target = replace(self.target, fields={**self.target.fields, self.address_field: kind})
            named = {field: f"{field}_of_model" for field in target.fields}
            problems = await self._problems(server, replace(target, columns=named))
            words = (f"`{self.address_field}`", f"`{self.address_field}_of_model`", kind.value, "email")
            assert [each for each in problems if all(word in each for word in words)], problems

    @live
    async def test_check_names_an_unknown_object(self, server: Any, session: Session) -> None:
        problems = await self._problems(server, replace(self.target, object="NoSuchObject"))
        assert "NoSuchObject" in problems[0]

    async def _problems(self, server: Any, target: Any) -> tuple[str, ...]:
        async with self.open(server, target) as session:
            error = await error_of(session.destination.check())
        assert isinstance(error, CheckFailed), error
        return error.problems


class JobContract(Harness):
    """For destinations that run jobs."""

    @live
    async def test_a_job_answers_for_every_row(self, server: Any, session: Session) -> None:
        await session.deliver(UPSERT, self.record(0))
        rows = self.records(6)
        rows[4] = self.spoiled(rows[4])
        sent = batch(UPSERT, *await session.addressed(UPSERT, *rows))
        job = await session.handed_over(sent)
        outcomes = {outcome.key: outcome for outcome in await session.collected(job, sent)}
        assert outcomes[rows[4].key].reason is Reason.REJECTED
        assert outcomes[rows[0].key].status is Status.UPDATED
        assert {outcomes[rows[at].key].status for at in (1, 2, 3, 5)} == {Status.CREATED}
        assert len(outcomes) == 6
        assert len(self.stored(server)) == 5

    @live
    async def test_a_job_clears_and_keeps_text(self, server: Any, session: Session) -> None:
        texts = ['a "quoted", one', "two\nlines", None, "", "Zoë 日本語"]
        rows = [self.with_text(self.record(number), text) for number, text in enumerate(texts)]
        await session.deliver(UPSERT, *self.records(5))
        sent = batch(UPSERT, *await session.addressed(UPSERT, *rows))
        job = await session.handed_over(sent)
        assert {outcome.status for outcome in await session.collected(job, sent)} == {Status.UPDATED}
        assert [self.held(server, row, self.text_field) or None for row in rows] == [text or None for text in texts]

    @live
    async def test_an_unknown_job_is_gone(self, server: Any, session: Session) -> None:
        assert await _runner(session).poll("750000000000000AAA") is JobState.GONE


def _finder(session: Session) -> FindsRecords:
    assert isinstance(session.destination, FindsRecords)
    return session.destination


def _runner(session: Session) -> RunsJobs:
    assert isinstance(session.destination, RunsJobs)
    return session.destination
