"""Stripe: what a check refuses, what stops a run, and what only shows over several requests, against the sandbox."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    CheckFailed,
    ContractViolation,
    RequestRejected,
    TargetChanged,
)
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

FIELDS = {"email": FieldType.TEXT, "metadata.plan": FieldType.TEXT}
CUSTOMERS = target("customers", "metadata.customer_id", Operation.UPSERT, **FIELDS)
USAGE = {"payload.stripe_customer_id": FieldType.TEXT, "payload.value": FieldType.INTEGER}
EVENTS = target("meter_events", "identifier", Operation.INSERT, **USAGE)
STREAM = replace(EVENTS, object="meter_event_stream")


@pytest.fixture(autouse=True)
def roomy(sandbox: Sandbox) -> None:
    sandbox.settings.change({"stripe_test_requests": 10_000, "stripe_endpoint_requests": 10_000})


def ask(
    sandbox: Sandbox,
    work: Callable[[Stripe], Any],
    to: Target = CUSTOMERS,
    key: str = "sk_test_sandbox",
    *,
    version: str = "2026-05-27.dahlia",
    **options: Any,
) -> Any:
    """What the work gives with an open destination."""

    async def run() -> Any:
        async with httpx.AsyncClient(timeout=5) as client:
            told = {"meter": "product_events", **options}
            connection = accounts.stripe(sandbox.url, key, api_version=version)
            return await work(Stripe(connection, to, Stripe.Options(**told), client))

    return asyncio.run(run())


def problems(sandbox: Sandbox, to: Target, **options: Any) -> str:
    with pytest.raises(CheckFailed) as caught:
        ask(sandbox, lambda stripe: stripe.check(), to, **options)
    return str(caught.value)


def customer(sandbox: Sandbox, **metadata: str) -> str:
    return sandbox.add("stripe", "customers", {"metadata": metadata})


async def one(stripe: Stripe, operation: Operation, row: Record) -> Outcome:
    [outcome] = await stripe.send(batch(operation, row))
    return outcome


# What a check refuses


def test_a_check_names_everything_that_is_wrong_at_once(sandbox: Sandbox) -> None:
    fields = {
        "emial": FieldType.TEXT,
        "currency": FieldType.TEXT,
        "balance": FieldType.TEXT,
        "metadata.a[b]": FieldType.TEXT,
        f"metadata.{'k' * 41}": FieldType.TEXT,
    }
    said = problems(sandbox, replace(CUSTOMERS, external_id="email", fields=fields))
    for words in (
        "`email` is not unique",
        "no field `emial`; the nearest is `email`",
        "`currency` is read-only (Stripe sets it)",
        "`balance` is of type integer, and the model sends text",
        "`metadata.a[b]`: a metadata key has 1 to 40 characters and no square brackets",
        f"`metadata.{'k' * 41}`: a metadata key",
    ):
        assert words in said
    assert sandbox.log.lines("stripe") == []


@pytest.mark.parametrize("sent", [kind for kind in FieldType if kind is not FieldType.TEXT], ids=str)
def test_a_field_of_fixed_words_takes_text_alone(sandbox: Sandbox, sent: FieldType) -> None:
    words = ("tax_exempt", "address.country", "shipping.address.country", "invoice_settings.default_payment_method")
    said = problems(sandbox, replace(CUSTOMERS, fields=dict.fromkeys(words, sent)))
    for field in words:
        assert f"Field `{field}` is of type word, and the model sends {sent.value}: cast the column to text." in said
    assert "It takes none, exempt, reverse." in said


def test_a_field_of_fixed_words_takes_text(sandbox: Sandbox) -> None:
    ask(sandbox, lambda stripe: stripe.check(), replace(CUSTOMERS, fields={"tax_exempt": FieldType.TEXT}))


def test_a_customer_has_room_for_fifty_keys(sandbox: Sandbox) -> None:
    fields = {f"metadata.k{number}": FieldType.TEXT for number in range(50)}
    assert "51 metadata keys are mapped" in problems(sandbox, replace(CUSTOMERS, fields=fields))


def test_an_unknown_object_is_named(sandbox: Sandbox) -> None:
    said = problems(sandbox, replace(CUSTOMERS, object="invoices"))
    assert "no object `invoices`. There are `customers`, `meter_events`, `meter_event_stream`." in said


def test_a_region_without_search_is_told(sandbox: Sandbox) -> None:
    sandbox.fault("server_error", vendor="stripe", path="search", status=400)
    assert "cannot be looked up by `metadata.customer_id`" in problems(sandbox, CUSTOMERS)
    ask(sandbox, lambda stripe: stripe.check(), target("customers", "id", Operation.UPDATE, **FIELDS))


def test_meter_events_need_a_meter_that_takes_them(sandbox: Sandbox) -> None:
    assert "Name the meter below `options`" in problems(sandbox, EVENTS, meter="")
    assert "no meter with the event_name `product_evnts`; the nearest" in problems(
        sandbox, EVENTS, meter="product_evnts"
    )
    bare = target("meter_events", "event", Operation.INSERT, quantity=FieldType.INTEGER)
    said = problems(sandbox, bare)
    for words in (
        "`external_id: identifier`",
        "no field `quantity`",
        "`payload.stripe_customer_id`",
        "`payload.value`",
    ):
        assert words in said
    meter = next(iter(sandbox.stripe.billing.meters.values()))
    meter["status"] = "inactive"
    assert "`product_events` is inactive" in problems(sandbox, EVENTS)


def test_a_meter_that_counts_needs_no_value(sandbox: Sandbox) -> None:
    sandbox.stripe.billing.add_meter("logins", default_aggregation={"formula": "count"})
    who = target("meter_events", "identifier", Operation.INSERT, **{"payload.stripe_customer_id": FieldType.TEXT})
    ask(sandbox, lambda stripe: stripe.check(), who, meter="logins")


# Keys and permissions


def test_a_revoked_key_stops_the_run(sandbox: Sandbox) -> None:
    sandbox.stripe.revoked.add("sk_test_sandbox")
    with pytest.raises(AuthenticationFailed, match="does not take the key, in test mode"):
        ask(sandbox, lambda stripe: stripe.check())


def test_a_version_that_stripe_does_not_have_ends_the_run(sandbox: Sandbox) -> None:
    with pytest.raises(TargetChanged, match=r"Invalid Stripe API version: 2099-01-01\.zinnia\. Set `api_version`"):
        ask(sandbox, lambda stripe: stripe.check(), version="2099-01-01.zinnia")
    with pytest.raises(TargetChanged, match=r"Invalid Stripe API version: 2025-07-30\. Set"):  # it has a name
        ask(sandbox, lambda stripe: stripe.check(), version="2025-07-30")


@pytest.mark.parametrize("to", [CUSTOMERS, EVENTS, STREAM])
def test_a_version_that_is_too_old_for_the_adapter(sandbox: Sandbox, to: Target) -> None:
    told = "`api_version` is 2020-08-27, and 2024-09-30.acacia is the first that this destination can use: set it to"
    assert told in problems(sandbox, to, version="2020-08-27")


@pytest.mark.parametrize(("path", "taken"), [("/v1/customers", True), ("/v2/core/events", False)])
def test_stripe_itself_takes_old_versions_below_v1_alone(sandbox: Sandbox, path: str, taken: bool) -> None:
    headers = {"Authorization": "Bearer sk_test_sandbox", "Stripe-Version": "2020-08-27"}
    answer = httpx.get(f"{sandbox.url}/stripe{path}", headers=headers)
    assert ("api version" not in answer.text) is taken


@pytest.mark.parametrize(
    ("to", "allowed", "lacks"),
    [
        (CUSTOMERS, "rak_event_read", "rak_customer_read"),
        (EVENTS, "rak_customer_read", "rak_billing_meter_read"),
        (STREAM, "rak_billing_meter_read", "rak_event_read"),
    ],
)
def test_a_restricted_key_that_may_not_look_is_told_what_it_lacks(
    sandbox: Sandbox, to: Target, allowed: str, lacks: str
) -> None:
    sandbox.settings.change({"stripe_permissions": allowed})
    with pytest.raises(AuthenticationFailed, match=f"'{lacks}' permission"):
        ask(sandbox, lambda stripe: stripe.check(), to, "rk_test_sandbox")


def test_a_restricted_key_that_may_not_write_is_told_with_the_first_write(sandbox: Sandbox) -> None:
    sandbox.settings.change({"stripe_permissions": "rak_customer_read rak_billing_meter_read"})
    with pytest.raises(AuthenticationFailed, match="'rak_customer_write' permission"):
        ask(sandbox, lambda stripe: one(stripe, Operation.UPSERT, record("c1")), CUSTOMERS, "rk_test_sandbox")
    sent = batch(Operation.INSERT, record("u1", {"payload.value": 1}))
    with pytest.raises(AuthenticationFailed, match="write access to meter events"):
        ask(sandbox, lambda stripe: stripe.open_job(sent), STREAM, "rk_test_sandbox")


def test_ids_of_the_other_mode_make_no_new_customers(sandbox: Sandbox) -> None:
    known = customer(sandbox, customer_id="c1")
    with pytest.raises(AuthenticationFailed, match="the key is of live mode"):
        ask(sandbox, lambda stripe: one(stripe, Operation.UPSERT, Record("c1", "c1", {}, known)), key="sk_live_sandbox")


# One row over several requests


def test_search_lags_and_ignores_case_and_its_results_are_compared(sandbox: Sandbox) -> None:
    first, second = customer(sandbox, customer_id="Ab"), customer(sandbox, customer_id="ab")
    assert ask(sandbox, lambda stripe: stripe.find(["ab"])) == {"ab": []}
    sandbox.settings.change({"stripe_search_lag_seconds": 0.0})
    assert ask(sandbox, lambda stripe: stripe.find(["ab", "Ab", "AB"])) == {"ab": [second], "Ab": [first], "AB": []}


def test_all_pages_of_a_search_are_read(sandbox: Sandbox) -> None:
    sandbox.settings.change({"stripe_search_lag_seconds": 0.0})
    made = {customer(sandbox, customer_id="c1") for _ in range(120)}
    assert set(ask(sandbox, lambda stripe: stripe.find(["c1"]))["c1"]) == made


def test_values_that_go_back_and_forth_arrive(sandbox: Sandbox) -> None:
    known = customer(sandbox, customer_id="c1")

    async def work(stripe: Stripe) -> list[Any]:
        held = []
        for plan in ("pro", "free", "pro"):
            await one(stripe, Operation.UPSERT, Record("c1", "c1", {"metadata.plan": plan}, known))
            held.append(sandbox.stripe.tables["customers"].entries[known].values["metadata"]["plan"])
        return held

    assert ask(sandbox, work) == ["pro", "free", "pro"]


def test_a_customer_is_made_again_though_stripe_repeats_itself(sandbox: Sandbox) -> None:
    """Made, deleted, and made anew with the same values within a day: the kept answer names the one that is gone."""
    row = record("c1", **{"metadata.plan": "pro"})
    first = ask(sandbox, lambda stripe: one(stripe, Operation.UPSERT, row))
    sandbox.remove("stripe", "customers", first.destination_id)

    async def work(stripe: Stripe) -> list[Outcome]:
        told = await one(stripe, Operation.UPSERT, row)
        stale = await one(stripe, Operation.UPSERT, replace(row, destination_id=told.destination_id))
        return [told, stale, await one(stripe, Operation.UPSERT, row)]

    told, stale, made = ask(sandbox, work)
    assert (told.retry, told.destination_id) == (True, first.destination_id)
    assert (stale.status, stale.reason) == (Status.SKIPPED, Reason.NOT_FOUND)
    assert made.status is Status.CREATED
    assert made.destination_id != first.destination_id
    assert len(sandbox.stripe.tables["customers"].live()) == 1


def test_another_form_of_the_same_row_is_refused_for_a_day(sandbox: Sandbox) -> None:
    async def work(stripe: Stripe) -> Any:
        for plan in ("pro", "free"):
            sent = batch(Operation.UPSERT, record("c1", **{"metadata.plan": plan}), idempotency_key="same")
            outcomes = await stripe.send(sent)
        return outcomes

    with pytest.raises(RequestRejected, match="same parameters they were first used with") as caught:
        ask(sandbox, work)
    assert caught.value.code == "idempotency_error"
    assert len(sandbox.stripe.tables["customers"].live()) == 1


def test_metadata_that_is_too_long_costs_no_request(sandbox: Sandbox) -> None:
    outcome = ask(sandbox, lambda stripe: one(stripe, Operation.UPSERT, record("c1", **{"metadata.plan": "x" * 501})))
    assert (outcome.status, outcome.reason, outcome.error.field) == (Status.FAILED, Reason.INVALID, "metadata.plan")
    assert sandbox.log.lines("stripe") == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"email": "ann at shop"}, "email_invalid"),
        ({"name": "x" * 257}, "invalid_request_error"),
        ({"tax_exempt": "maybe"}, "invalid_request_error"),
        ({"colour": "red"}, "parameter_unknown"),
    ],
)
def test_values_that_stripe_refuses_are_rejected(sandbox: Sandbox, fields: dict[str, str], code: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        ask(sandbox, lambda stripe: one(stripe, Operation.UPSERT, record("c1", **fields)))
    assert (caught.value.code, caught.value.field) == (code, next(iter(fields)))


def test_an_update_by_id_needs_no_search(sandbox: Sandbox) -> None:
    known = customer(sandbox, plan="free")
    by_id = target("customers", "id", Operation.UPDATE, **{"metadata.plan": FieldType.TEXT})
    rows = [record(key, **{"metadata.plan": "pro"}) for key in (known, "cus_none")]
    found = [ask(sandbox, partial(one, operation=Operation.UPDATE, row=row), by_id) for row in rows]
    assert [(each.status, each.reason) for each in found] == [
        (Status.UPDATED, None),
        (Status.SKIPPED, Reason.NOT_FOUND),
    ]


# Meter events


def test_an_event_is_counted_once(sandbox: Sandbox) -> None:
    row = record("u1", {"payload.stripe_customer_id": customer(sandbox), "payload.value": 3})
    outcomes = [ask(sandbox, lambda stripe: one(stripe, Operation.INSERT, row), EVENTS) for _ in range(2)]
    assert [each.status for each in outcomes] == [Status.CREATED, Status.SKIPPED]
    assert outcomes[1].reason is Reason.ALREADY_EXISTS
    assert len(sandbox.stripe.tables["meter_events"].live()) == 1


def test_a_value_with_too_many_digits_is_rejected(sandbox: Sandbox) -> None:
    row = record("u1", {"payload.stripe_customer_id": customer(sandbox), "payload.value": 10**16})
    with pytest.raises(RequestRejected, match="at most 15 digits"):
        ask(sandbox, lambda stripe: one(stripe, Operation.INSERT, row), EVENTS)


def test_a_session_of_the_stream_is_renewed_once(sandbox: Sandbox) -> None:
    who = customer(sandbox)

    async def work(stripe: Stripe) -> None:
        for round_ in range(2):
            rows = [record(f"u{round_}{n}", {"payload.stripe_customer_id": who, "payload.value": n}) for n in range(3)]
            await asyncio.gather(*[stripe.open_job(batch(Operation.INSERT, row)) for row in rows])
            sandbox.stripe.expire_tokens()

    ask(sandbox, work, STREAM)
    assert len(sandbox.stripe.tables["meter_events"].live()) == 6
    assert sum(line.path.endswith("session") for line in sandbox.log.lines("stripe")) == 2


def test_events_that_no_meter_takes_do_not_go_into_the_stream(sandbox: Sandbox) -> None:
    bad, good = (record(key, **{"payload.stripe_customer_id": who}) for key, who in (("u1", None), ("u2", "cus_1")))
    for sent in (batch(Operation.INSERT, bad), batch(Operation.INSERT, bad, good)):
        ask(sandbox, partial(Stripe.open_job, batch=sent), STREAM)
    assert [line.rows for line in sandbox.log.lines("stripe") if line.path.endswith("stream")] == [1]


def test_a_lost_answer_of_the_stream_is_ambiguous_and_repeated_without_harm(sandbox: Sandbox) -> None:
    sent = batch(
        Operation.INSERT,
        record("u1", {"payload.stripe_customer_id": customer(sandbox), "payload.value": 1}),
    )
    sandbox.fault("drop_after", vendor="stripe", path="stream", next=1)
    with pytest.raises(Ambiguous):
        ask(sandbox, lambda stripe: stripe.open_job(sent), STREAM)
    ask(sandbox, lambda stripe: stripe.open_job(sent), STREAM)
    assert len(sandbox.stripe.tables["meter_events"].live()) == 1


def test_a_row_without_an_id_is_no_way_to_everybody(sandbox: Sandbox) -> None:
    with pytest.raises(ContractViolation, match="has no customer id"):
        ask(sandbox, lambda stripe: one(stripe, Operation.DELETE, record("c1")), delete=True)
