"""Zendesk: what a check refuses, what stops a run, and faults on the way, against the sandbox."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest

from reverse_etl_assets.destinations.base import JobState
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, CheckFailed, RequestRejected, RetryLater
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

T = TypeVar("T")
USERS = target(
    "users",
    "external_id",
    *(Operation.UPSERT, Operation.UPDATE, Operation.DELETE),
    name=FieldType.TEXT,
    email=FieldType.TEXT,
    **{"user_fields.customer_tier": FieldType.TEXT},
)
TICKETS = target(
    "tickets",
    "id",
    Operation.UPDATE,
    key_type=FieldType.INTEGER,
    status=FieldType.TEXT,
    **{"custom_fields.36001": FieldType.TEXT},
)


@pytest.fixture(autouse=True)
def roomy(sandbox: Sandbox) -> None:
    sandbox.settings.change({"zendesk_requests": 1_000_000})


def ask(
    sandbox: Sandbox,
    work: Callable[[Zendesk], Any],
    to: Target = USERS,
    account: ZendeskConnection | None = None,
    **options: Any,
) -> Any:
    """What the work gives with an open destination."""

    async def run() -> Any:
        async with httpx.AsyncClient(timeout=5) as client:
            signed = account or accounts.zendesk(sandbox.url)
            return await work(Zendesk(signed, to, Zendesk.Options(**options), client))

    return asyncio.run(run())


def problems(sandbox: Sandbox, to: Target) -> str:
    with pytest.raises(CheckFailed) as caught:
        ask(sandbox, lambda zendesk: zendesk.check(), to)
    return str(caught.value)


async def one(zendesk: Zendesk, operation: Operation, row: Record) -> Outcome:
    [outcome] = await zendesk.send(batch(operation, row))
    return outcome


def with_fields(to: Target, **fields: FieldType) -> Target:
    return replace(to, fields={**to.fields, **fields})


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (replace(USERS, object="user"), "the nearest is `users`"),
        (replace(USERS, external_id="email"), "map `email` too"),
        (replace(USERS, external_id="name"), "by `external_id` or `id`"),
        (replace(USERS, external_id="id"), "`id` cannot be set on create"),
        (replace(TICKETS, external_id="external_id"), "by `id`, their number"),
        (replace(USERS, fields={"email": FieldType.TEXT}), "`name` is required on create"),
        (with_fields(USERS, role=FieldType.TEXT), "given by a person"),
        (with_fields(USERS, customer_tier=FieldType.TEXT), "no field `customer_tier`"),
        (with_fields(USERS, **{"user_fields.custmer_tier": FieldType.TEXT}), "nearest is `user_fields.customer_tier`"),
        (with_fields(USERS, **{"user_fields.customer_tier": FieldType.BOOLEAN}), "of type dropdown"),
        (with_fields(USERS, **{"user_fields.customer_tier": FieldType.INTEGER}), "none of its options is one ("),
        (with_fields(USERS, **{"user_fields.last_order_date": FieldType.TIMESTAMP}), "of type date"),
        (with_fields(USERS, tags=FieldType.TEXT), "cast the column to json"),
        (with_fields(TICKETS, **{"custom_fields.36009": FieldType.TEXT}), "nearest is `custom_fields.3600"),
        (with_fields(TICKETS, status=FieldType.INTEGER), "to text. It takes new, open, pending, hold, solved, closed."),
        (with_fields(TICKETS, priority=FieldType.BOOLEAN), "It takes urgent, high, normal, low."),
        (with_fields(USERS, time_zone=FieldType.INTEGER), "`time_zone` is of type word, and the model sends integer"),
    ],
)
def test_what_a_check_refuses(sandbox: Sandbox, to: Target, said: str) -> None:
    assert said in problems(sandbox, to)


def test_a_ticket_is_matched_and_passes_the_check(sandbox: Sandbox) -> None:
    ask(sandbox, lambda zendesk: zendesk.check(), TICKETS)


def test_an_address_that_is_no_zendesk_is_told(sandbox: Sandbox) -> None:
    async def work(zendesk: Zendesk) -> None:
        zendesk.client.base_url = f"{sandbox.url}/zendesk/elsewhere"
        await zendesk.check()

    with pytest.raises(AuthenticationFailed, match=r"https://\{subdomain\}\.zendesk\.com"):
        ask(sandbox, work)
    with pytest.raises(CheckFailed, match=r"https://\{subdomain\}\.zendesk\.com"):
        ask(sandbox, work, account=accounts.zendesk_by_token(sandbox.url))


def test_an_account_without_bulk_import_stops_with_the_option_to_set(sandbox: Sandbox) -> None:
    sandbox.settings.change({"zendesk_bulk_import": False})
    rows = batch(Operation.UPSERT, record("C1", name="Ann"))
    with pytest.raises(AuthenticationFailed, match="`bulk: false`"):
        ask(sandbox, lambda zendesk: zendesk.open_job(rows))
    [outcome] = ask(sandbox, lambda zendesk: zendesk.send(rows), bulk=False)
    assert outcome.status is Status.CREATED


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"name": "x" * 256}, "RecordInvalid", "name"),
        ({"name": "Ann", "email": "taken@shop.example"}, "DuplicateValue", "email"),
        ({"name": "Ann", "email": "no address"}, "InvalidFormat", "email"),
    ],
)
def test_a_row_that_zendesk_refuses(sandbox: Sandbox, fields: dict[str, Any], code: str, field: str) -> None:
    sandbox.add("zendesk", "users", {"name": "Bob", "email": "taken@shop.example"})
    sandbox.add("zendesk", "users", {"name": "Ann", "external_id": "C1"})
    with pytest.raises(RequestRejected) as caught:
        ask(sandbox, lambda zendesk: one(zendesk, Operation.UPSERT, record("C1", **fields)))
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_value_that_is_no_option_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    """Zendesk itself answers 200 and keeps the old value, which the sandbox does as well."""
    row = record("C1", name="Ann", **{"user_fields.customer_tier": "platinum"})

    async def work(zendesk: Zendesk) -> tuple[Outcome, Outcome]:
        blind = await one(zendesk, Operation.UPSERT, row)
        await zendesk.check()
        return blind, await one(zendesk, Operation.UPSERT, row)

    blind, seeing = ask(sandbox, work)
    assert blind.status is Status.CREATED
    [held] = sandbox.zendesk.tables["users"].live()
    assert held.values.get("user_fields.customer_tier") is None
    assert seeing.reason is Reason.INVALID


def test_a_user_is_found_by_any_address_and_gets_the_external_id(sandbox: Sandbox) -> None:
    known = sandbox.add("zendesk", "users", {"name": "Ann", "email": "ann@shop.example"})

    async def work(zendesk: Zendesk) -> list[Outcome]:
        by_address = record("C1", name="Ann", email="ANN@shop.example")
        later = record("c1", name="Ann", email="ann@new.example")  # becomes a second address
        again = record("C1", name="Ann R.", email="ann@new.example")
        return [await one(zendesk, Operation.UPSERT, row) for row in (by_address, later, again)]

    outcomes = ask(sandbox, work)
    assert [(each.status, each.destination_id) for each in outcomes] == [(Status.UPDATED, known)] * 3
    [held] = sandbox.zendesk.tables["users"].live()
    assert (held.values["external_id"], held.values["email"], held.values["name"]) == (
        "C1",
        "ann@shop.example",
        "Ann R.",
    )


def test_a_user_keeps_the_first_address_and_reading_back_knows(sandbox: Sandbox) -> None:
    async def work(zendesk: Zendesk) -> list[Any]:
        for email in ("ann@shop.example", "ann@new.example", None):
            await one(zendesk, Operation.UPSERT, record("C1", name="Ann", email=email))
        [held] = (await zendesk.read_records(["C1"]))["C1"]
        assert held.fields["email"] == "ann@shop.example"
        sent = ("ANN@shop.example", None, "ann@new.example")
        return [zendesk.same("email", each, held.fields["email"]) for each in sent]

    assert ask(sandbox, work) == [True, True, False]


def test_tickets_are_changed_and_closed_ones_refused(sandbox: Sandbox) -> None:
    ids = [sandbox.add("zendesk", "tickets", {"subject": "Help", "status": each}) for each in ("open", "closed")]
    rows = [
        record(each, destination_id=each, **{"custom_fields.36001": "growth"})
        for each in (*ids, "99")  # and one that is gone
    ]

    async def work(zendesk: Zendesk) -> list[Outcome]:
        sent = batch(Operation.UPDATE, *rows)
        job = await zendesk.open_job(sent)
        while await zendesk.poll(job) is not JobState.DONE:
            pass
        return list(await zendesk.collect(job, sent))

    changed, closed, gone = ask(sandbox, work, TICKETS)
    assert (changed.status, closed.reason, gone.reason) == (Status.UPDATED, Reason.REJECTED, Reason.NOT_FOUND)
    assert closed.error is not None
    assert "closed" in closed.error.message
    assert sandbox.zendesk.tables["tickets"].get(ids[0]).values["custom_fields.36001"] == "growth"  # type: ignore[union-attr]
    found = ask(sandbox, lambda zendesk: zendesk.find([ids[0], "99", "no number"]), TICKETS)
    assert found == {ids[0]: [ids[0]], "99": [], "no number": []}


def test_no_place_for_one_more_job(sandbox: Sandbox) -> None:
    sandbox.settings.change({"zendesk_open_jobs": 1})

    async def work(zendesk: Zendesk) -> None:
        for key in ("C1", "C2"):
            await zendesk.open_job(batch(Operation.UPSERT, record(key, name="Ann")))

    with pytest.raises(RetryLater) as caught:
        ask(sandbox, work)
    assert not caught.value.hold
    assert [line.limit for line in sandbox.log.lines("zendesk")] == ["", "", "jobs"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop_after"}, Ambiguous),
        ({"kind": "malformed"}, Ambiguous),
        ({"kind": "empty"}, Ambiguous),
        ({"kind": "rate_limit", "retry_after": 4}, RetryLater),
        ({"kind": "server_error", "status": 502}, Ambiguous),
    ],
)
def test_faults_of_opening_a_job(sandbox: Sandbox, fault: dict[str, Any], error: type[Exception]) -> None:
    sandbox.fault(vendor="zendesk", next=1, **fault)
    with pytest.raises(error):
        ask(sandbox, lambda zendesk: zendesk.open_job(batch(Operation.UPSERT, record("C1", name="Ann"))))


def test_keys_too_long_for_one_url_take_more(sandbox: Sandbox) -> None:
    keys = [f"{at:03}{'x' * 250}" for at in range(60)]
    found = ask(sandbox, lambda zendesk: zendesk.find(keys))
    assert list(found) == keys
    assert sum(line.operation == "read" for line in sandbox.log.lines("zendesk")) == 3
