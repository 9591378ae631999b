"""One answer of no use, or one row of which no request can be made, takes nothing else of the run with it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest

from reverse_etl_assets.accounts.waiting import Halted
from reverse_etl_assets.delivery.guarding import guarded
from reverse_etl_assets.destinations.base import NOTHING_KNOWN, Account, decode_json
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import ConfigurationError, ContractViolation
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.readback.verification import verify
from reverse_etl_assets.records import Batch, Current, Outcome
from reverse_etl_assets.testing import error_of
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.engine.test_bad_keys import READ, people
from tests.heavy import first, first_rows, heavy

TEN = {**SINK, "batch_size": 10}
ONE = {"method": "PUT", "path": "/{{ object }}/{{ key }}"}


def held(sandbox: Sandbox) -> set[str]:
    table = sandbox.rest.tables.get("people")
    return {entry.id for entry in table.live()} if table else set()


def failed(shop: Shop, sync: Any, report: Any) -> dict[str | None, str | None]:
    return {key: each.reason for key, each in shop.by_key(sync, report).items() if each.status == "failed"}


def test_an_appended_batch_whose_answer_cannot_be_unpacked_is_held_alone(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 100)
    sandbox.fault("garbled", vendor="rest", next=1, skip=3)
    sync = sink_sync(sync_mode="append", options=TEN)
    report = shop.run(sync, sink(sandbox.url))
    assert report.status is RunStatus.DONE
    assert list(failed(shop, sync, report).values()) == ["ambiguous"] * 10
    assert len(held(sandbox)) == 100
    sandbox.faults.clear()
    assert shop.run(sync, sink(sandbox.url)).counts["held"] == 10
    assert sandbox.rest.tables["people"].counters.updated == 0


def test_an_upsert_whose_answer_cannot_be_unpacked_is_sent_again(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 100)
    sandbox.fault("garbled", vendor="rest", next=1, skip=3)
    report = shop.run(sink_sync(options=TEN), sink(sandbox.url))
    assert report.status is RunStatus.DONE
    assert report.counts["failed"] == 0


@heavy
def test_a_read_whose_answer_cannot_be_unpacked_is_repeated(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 100)
    sandbox.fault("garbled", vendor="rest", method="GET", next=1)
    report = shop.run(sink_sync(options={**TEN, "read": READ}), sink(sandbox.url))
    assert report.counts["created"] == 100


@pytest.mark.parametrize("mode", first(["append", "incremental"]))
@pytest.mark.parametrize("batch_size", first([100, 1]))
def test_a_row_of_which_no_request_can_be_made(shop: Shop, sandbox: Sandbox, mode: str, batch_size: int) -> None:
    """Refused alone, never in doubt and never held: nothing of it went out."""
    endless = "y" * 70_000

    class InTheAddress(Webhook):
        """Names its rows in the address."""

        def build_request(self, batch: Batch) -> httpx.Request:
            request = super().build_request(batch)
            long = [record.key for record in batch.records if len(record.key) > 1_000]
            return self.client.build_request("POST", f"/x/{long[0]}") if long else request

    people(shop, 40, endless)
    sync = sink_sync(sync_mode=mode, options={**SINK, "batch_size": batch_size} if batch_size > 1 else ONE)
    for _ in range(2):
        report = shop.run(sync, Account("sink", InTheAddress, sink(sandbox.url).connection))
        assert report.status is RunStatus.DONE
        assert failed(shop, sync, report) == {endless: "rejected"}
        assert report.counts.get("held", 0) == 0
    assert len(held(sandbox)) == 40


@heavy
@pytest.mark.parametrize(
    ("opens", "closes", "depth", "taken"),
    first_rows(
        [
            ("[", "]", 2_000, False),
            ("[", "]", 150, True),
            ('{"a":', "0}", 2_000, False),
            ("[[],{},", "0]", 2_000, False),
        ],
        2,
    ),
)
def test_a_value_that_is_too_deep_to_be_read(
    shop: Shop, sandbox: Sandbox, opens: str, closes: str, depth: int, taken: bool
) -> None:
    deep = f"repeat('{opens}', {depth}) || '{closes[:-1]}' || repeat('{closes[-1]}', {depth})"
    flat = "repeat('[{}],', 1000)"  # as many brackets, and no depth
    shop.build(
        f"select 'c' || i as id, case i when 7 then {deep} when 8 then '[' || {flat} || '0]' end::json as name"
        " from range(40) r(i)"
    )
    sync = sink_sync(options=TEN)
    report = shop.run(sync, sink(sandbox.url))
    assert report.status is RunStatus.DONE
    assert failed(shop, sync, report) == ({} if taken else {"c7": "invalid"})
    assert len(held(sandbox)) == (40 if taken else 39)


class Stumbles(Webhook):
    """Falls over the answer about one row."""

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        if any(record.key == "c7" for record in batch.records):
            raise KeyError("results")
        return super().read_response(batch, response)


class NamesAStranger(Webhook):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        for outcome in super().read_response(batch, response):
            yield Outcome("nobody", outcome.status) if outcome.key == "c7" else outcome


class GivesUp(Webhook):
    """Says itself that its contract is broken, once the answer is there."""

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        if any(record.key == "c7" for record in batch.records):
            raise ContractViolation("c7 has no id")
        return super().read_response(batch, response)


@heavy
@pytest.mark.parametrize("destination", [Stumbles, NamesAStranger, GivesUp])
def test_an_answer_that_the_code_falls_over(shop: Shop, sandbox: Sandbox, destination: type[Webhook]) -> None:
    people(shop, 100)
    sync = sink_sync(options=TEN)
    report = shop.run(sync, Account("sink", destination, sink(sandbox.url).connection))
    assert report.status is RunStatus.DONE
    assert failed(shop, sync, report) == {"c7": "ambiguous"}
    assert len(held(sandbox)) == 100

    people(shop, 100, name="m")
    events = sink_sync(sync="events", object="events", sync_mode="append", options=TEN)
    report = shop.run(events, Account("sink", destination, sink(sandbox.url).connection))
    assert report.status is RunStatus.DONE
    assert set(failed(shop, events, report).values()) == {"ambiguous"}
    assert len(failed(shop, events, report)) == 10
    assert shop.run(events, sink(sandbox.url)).counts["held"] == 10
    assert sandbox.rest.tables["events"].counters.updated == 0


class StumblesAtReads(Webhook):
    """Falls over the record of one row when it reads, after the answer came."""

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        found = await super().read_records(external_ids, known)
        if "c7" in external_ids:
            decode_json(httpx.Response(200, content=b"{}"))["nothing"]
        return found


@heavy
def test_a_read_that_the_code_falls_over(shop: Shop, sandbox: Sandbox) -> None:
    """The row is not refused by anybody: it is unavailable, and stays out of quarantine."""
    people(shop, 100)
    sync = sink_sync(options={**TEN, "read": READ}, quarantine={"after": 1})
    for _ in range(2):
        report = shop.run(sync, Account("sink", StumblesAtReads, sink(sandbox.url).connection))
        assert failed(shop, sync, report) == {"c7": "unavailable"}
    assert len(held(sandbox)) == 99


class CannotCompare(Webhook):
    """Falls over what one record holds."""

    def same(self, field: str, sent: Any, held: Any) -> bool:
        if held == "odd":
            raise ArithmeticError(held)
        return super().same(field, sent, held)


@heavy
def test_a_value_that_the_code_cannot_compare(shop: Shop, sandbox: Sandbox) -> None:
    """A person's odd value stays, is named, and takes no other row with it: in a run, in a look, and when adopted."""
    people(shop, 30)
    account = Account("sink", CannotCompare, sink(sandbox.url).connection)
    sync = sink_sync(options={**TEN, "read": READ}, verify={"sample": "all"})
    shop.run(sync, account)
    sandbox.edit("rest", "people", "c7", {"name": "odd"})
    drifted = verify(sync, shop.environment, account, sample="all")
    assert (drifted.looked_at, drifted.wrong) == (29, 0)
    assert "ArithmeticError" in drifted.not_judged
    shop.sql("update marts.people set name = 'm'")
    report = shop.run(sync, account)
    assert report.status is RunStatus.DONE
    assert failed(shop, sync, report) == {"c7": "unavailable"}
    adopting = sink_sync(sync="another", cutover="adopt", options={**TEN, "read": READ}, before_images="synced")
    report = shop.run(adopting, account)
    assert set(shop.by_key(adopting, report)) == {"c7"}


class ChecksBadly(Webhook):
    """Falls over the first answer to its check."""

    falls = True

    async def check(self) -> None:
        answer = await self.read_json(self.client.build_request("GET", self._url("/people")))
        if type(self).falls:
            type(self).falls = False
            answer["nothing"]


@heavy
def test_a_garbled_answer_to_the_check_is_asked_for_again(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 10)
    report = shop.run(sink_sync(), Account("sink", ChecksBadly, sink(sandbox.url).connection))
    assert report.counts["created"] == 10
    assert not ChecksBadly.falls


@heavy
@pytest.mark.parametrize("address", first(["http://127.0.0.1:99999/rest", "http:///rest", "http://127.0.0.1:0/rest"]))
@pytest.mark.parametrize("mode", first(["append", "incremental"]))
def test_an_address_at_which_nobody_can_be(shop: Shop, sandbox: Sandbox, address: str, mode: str) -> None:
    people(shop, 10)
    sync = sink_sync(sync_mode=mode)
    connection = sink(sandbox.url).connection.model_copy(update={"base_url": address})
    with pytest.raises(ConfigurationError, match="base_url"):
        shop.run(sync, Account("sink", Webhook, connection))
    assert shop.run(sync, sink(sandbox.url)).counts["created"] == 10


def test_a_run_that_is_told_to_end_between_two_requests_of_a_call_is_no_fault_of_its_code() -> None:
    async def call() -> None:
        raise Halted

    assert isinstance(asyncio.run(error_of(guarded(call(), "Crm"))), Halted)
