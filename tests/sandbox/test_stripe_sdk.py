"""stripe, the official SDK, against the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe
from stripe.events import V1BillingMeterErrorReportTriggeredEvent

from reverse_etl_sandbox import Sandbox

from .conftest import Clock

Client = stripe.StripeClient


def client(sandbox: Sandbox, key: str = "sk_test_sandbox") -> Client:
    base = f"{sandbox.url}/stripe"
    return Client(key, base_addresses={"api": base, "meter_events": base}, max_network_retries=0)


def known(customer: stripe.Customer) -> dict[str, Any]:
    assert customer.metadata is not None
    return customer.metadata.to_dict()


@pytest.fixture
def sdk(sandbox: Sandbox) -> Client:
    sandbox.settings.change({"stripe_test_requests": 10_000, "stripe_endpoint_requests": 10_000})
    return client(sandbox)


def test_a_customer_is_made_changed_and_deleted(sdk: Client) -> None:
    made = sdk.v1.customers.create(
        {"email": "Ann@Shop.example", "metadata": {"k": "1", "plan": "free"}, "address": {"line1": "1 Main St"}}
    )
    assert (made.object, made.livemode, known(made)) == ("customer", False, {"k": "1", "plan": "free"})
    assert made.address is not None
    assert (made.address.line1, made.address.city) == ("1 Main St", None)
    changed = sdk.v1.customers.update(made.id, {"metadata": {"plan": "", "seats": "3"}, "name": "Ann"})
    assert known(changed) == {"k": "1", "seats": "3"}, "keys merge, an empty value takes one off"
    assert known(sdk.v1.customers.update(made.id, {"metadata": "", "name": ""})) == {}
    assert sdk.v1.customers.retrieve(made.id).name is None
    assert sdk.v1.customers.delete(made.id).deleted
    stub: Any = sdk.v1.customers.retrieve(made.id)
    assert stub.deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such customer") as caught:
        sdk.v1.customers.update(made.id, {"name": "x"})
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (404, "resource_missing", "id")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"address": {"planet": "Mars"}}, "parameter_unknown", "address[planet]"),
        ({"email": "ann"}, "email_invalid", "email"),
        ({"name": "x" * 257}, None, "name"),
        ({"tax_exempt": "maybe"}, None, "tax_exempt"),
        ({"balance": "much"}, "parameter_invalid_integer", "balance"),
        ({"balance": ""}, "parameter_invalid_empty", "balance"),
        ({"metadata": {"k": "x" * 501}}, None, "metadata[k]"),
        ({"metadata": {"k" * 41: "x"}}, None, "metadata"),
        ({"metadata": {f"k{n}": "x" for n in range(51)}}, None, "metadata"),
        ({"metadata": "x"}, None, "metadata"),
    ],
)
def test_what_does_not_fit_is_refused(sdk: Client, params: Any, code: str | None, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sdk.v1.customers.create(params)
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, code, param)


def test_lists_go_by_email_as_it_is_spelt_newest_first(sdk: Client) -> None:
    made = [sdk.v1.customers.create({"email": "a@shop.example"}).id for _ in range(12)]
    sdk.v1.customers.create({"email": "A@shop.example"})
    page = sdk.v1.customers.list({"email": "a@shop.example", "limit": 5})
    assert ([each.id for each in page.data], page.has_more) == (made[:-6:-1], True)
    assert [each.id for each in page.auto_paging_iter()] == made[::-1]
    with pytest.raises(stripe.InvalidRequestError):
        sdk.v1.customers.list({"limit": 101})


def test_search_lags_folds_case_and_pages(sdk: Client, sandbox: Sandbox, clock: Clock) -> None:
    made = [sdk.v1.customers.create({"metadata": {"key": f"Id-{n}"}, "name": "Ann"}).id for n in range(12)]
    assert sdk.v1.customers.search({"query": "metadata['key']:'id-3'"}).data == []
    clock.now += 60
    assert [each.id for each in sdk.v1.customers.search({"query": 'metadata["key"]:"id-3"'}).data] == [made[3]]
    found = sdk.v1.customers.search({"query": "name~'an'", "limit": 5})
    assert len(list(found.auto_paging_iter())) == 12
    both = sdk.v1.customers.search({"query": "name:'ann' AND -metadata['key']:'Id-0'", "limit": 100})
    assert len(both.data) == 11
    sdk.v1.customers.update(made[3], {"metadata": {"key": "other"}})
    assert [each.id for each in sdk.v1.customers.search({"query": "metadata['key']:'id-3'"}).data] == [made[3]]


@pytest.mark.parametrize(
    "query",
    [
        "metadata['k']",
        "colour:'red'",
        "name:'a' OR name:'b' AND name:'c'",
        " OR ".join(f"name:'{n}'" for n in range(11)),
        "name:'a' nonsense",
    ],
)
def test_searches_that_cannot_be_read_are_refused(sdk: Client, query: str) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        sdk.v1.customers.search({"query": query})


def test_quotes_in_a_search_are_escaped(sdk: Client, clock: Clock) -> None:
    made = sdk.v1.customers.create({"metadata": {"key": 'a"b\\c'}}).id
    clock.now += 60
    query = r'metadata["key"]:"a\"b\\c"'
    assert [each.id for each in sdk.v1.customers.search({"query": query}).data] == [made]


# Idempotency


def test_a_key_is_good_for_one_request_a_day(sdk: Client, sandbox: Sandbox, clock: Clock) -> None:
    first = sdk.v1.customers.create({"name": "Ann"}, {"idempotency_key": "k1"})
    again = sdk.v1.customers.create({"name": "Ann"}, {"idempotency_key": "k1"})
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError, match="same parameters they were first used with"):
        sdk.v1.customers.create({"name": "Bob"}, {"idempotency_key": "k1"})
    clock.now += 86_400
    assert sdk.v1.customers.create({"name": "Ann"}, {"idempotency_key": "k1"}).id != first.id


def test_nothing_is_kept_of_a_request_that_did_not_begin(sdk: Client) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        sdk.v1.customers.create({"email": "ann"}, {"idempotency_key": "k1"})
    assert sdk.v1.customers.create({"email": "ann@shop.example"}, {"idempotency_key": "k1"}).id


def test_a_key_that_is_in_use_is_a_conflict(sdk: Client, sandbox: Sandbox) -> None:
    sandbox.fault("server_error", vendor="stripe", status=409, next=1)
    with pytest.raises(stripe.APIError) as caught:
        sdk.v1.customers.create({}, {"idempotency_key": "k1"})
    assert caught.value.http_status == 409
    assert "idempotency_key_in_use" in str(caught.value.http_body)


# Keys, modes and limits


def test_keys(sdk: Client, sandbox: Sandbox) -> None:
    made = sdk.v1.customers.create({})
    with pytest.raises(stripe.InvalidRequestError, match="exists in test mode, but a live mode key"):
        client(sandbox, "sk_live_x").v1.customers.retrieve(made.id)
    for key in ("nonsense", "pk_test_x"):
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
            client(sandbox, key).v1.customers.retrieve(made.id)
    basic = httpx.get(f"{sandbox.url}/stripe/v1/customers", auth=("sk_test_sandbox", ""), trust_env=False)
    assert basic.json()["object"] == "list"
    sandbox.settings.change({"stripe_permissions": "rak_customer_read"})
    limited = client(sandbox, "rk_test_x")
    assert limited.v1.customers.retrieve(made.id).id == made.id
    with pytest.raises(stripe.PermissionError, match="'rak_customer_write' permission"):
        limited.v1.customers.create({})


@pytest.mark.parametrize(("key", "admitted"), [("sk_test_x", 25), ("sk_live_x", 50)])
def test_endpoints_and_accounts_have_limits(sandbox: Sandbox, clock: Clock, key: str, admitted: int) -> None:
    limited = client(sandbox, key)
    made = limited.v1.customers.create({}).id
    clock.now += 1
    done, reasons = 0, set()
    calls: list[Callable[[], object]] = [
        lambda: limited.v1.customers.create({}),
        lambda: limited.v1.customers.update(made, {"name": "x"}),
    ]
    for call in calls:
        for _ in range(26):
            try:
                call()
                done += 1
            except stripe.RateLimitError as error:
                reasons.add((error.headers or {})["Stripe-Rate-Limited-Reason"])
    assert done == admitted
    assert reasons == ({"endpoint-rate", "global-rate"} if admitted == 25 else {"endpoint-rate"})
    clock.now += 1
    assert limited.v1.customers.create({}).id


# Usage


def an_event(who: str, identifier: str, **more: Any) -> dict[str, Any]:
    payload = {"stripe_customer_id": who, "value": "3"}
    return {"event_name": "product_events", "identifier": identifier, "payload": payload, **more}


def test_an_identifier_is_unique_for_a_day(sdk: Client, sandbox: Sandbox, clock: Clock) -> None:
    who = sdk.v1.customers.create({}).id
    params: Any = an_event(who, "e1", timestamp=int(clock.now) - 86_400)
    assert sdk.v1.billing.meter_events.create(params).identifier == "e1"
    with pytest.raises(stripe.InvalidRequestError, match="An event already exists with identifier e1") as caught:
        sdk.v1.billing.meter_events.create(params)
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Should-Retry"] == "false"
    clock.now += 86_400
    sdk.v1.billing.meter_events.create(params)
    assert len(sandbox.stripe.tables["meter_events"].live()) == 2, "counted twice"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"timestamp": -36 * 86_400}, "35 calendar days"),
        ({"timestamp": 400}, "5 minutes"),
        ({"payload": {"value": "1"}}, "stripe_customer_id not found"),
        ({"payload": {"stripe_customer_id": "cus_1", "value": "many"}}, "not a number"),
        ({"payload": {"stripe_customer_id": "cus_1", "value": "1234567890123456"}}, "at most 15 digits"),
        ({"event_name": "other"}, "No meter was found"),
        ({"event_name": "idle"}, "archived"),
    ],
)
def test_events_that_are_refused_at_once(sdk: Client, sandbox: Sandbox, clock: Clock, change: Any, said: str) -> None:
    settings: Any = {"display_name": "Idle", "event_name": "idle", "default_aggregation": {"formula": "sum"}}
    sdk.v1.billing.meters.deactivate(sdk.v1.billing.meters.create(settings).id)
    if "timestamp" in change:
        change = {"timestamp": int(clock.now) + change["timestamp"]}
    params: Any = {**an_event("cus_1", "e1"), **change}
    with pytest.raises(stripe.InvalidRequestError, match=said):
        sdk.v1.billing.meter_events.create(params)
    assert [each.status for each in sdk.v1.billing.meters.list({"status": "inactive"}).data] == ["inactive"]


def test_the_stream_takes_what_it_reports_later(sdk: Client, sandbox: Sandbox, clock: Clock) -> None:
    who = sdk.v1.customers.create({}).id
    sandbox.settings.change({"stripe_report_samples": 2})
    session = sdk.v2.billing.meter_event_session.create()
    stream = client(sandbox, session.authentication_token).v2.billing.meter_event_stream
    bad: Any = [an_event("cus_none", f"bad{n}") for n in range(5)] + [{**an_event(who, "lost"), "event_name": "other"}]
    good: Any = [an_event(who, f"good{n}") for n in range(94)]
    stream.create({"events": good + bad})
    stream.create({"events": good})
    assert len(sandbox.stripe.tables["meter_events"].live()) == 94
    types = ["v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"]
    since = datetime.fromtimestamp(clock.now - 20, UTC).isoformat().replace("+00:00", "Z")
    asked: Any = {"types": types, "created": {"gte": since}, "limit": 1}
    assert sdk.v2.core.events.list(asked).data == []
    clock.now += 30
    refused, lost = list(sdk.v2.core.events.list(asked).auto_paging_iter())
    assert isinstance(refused, V1BillingMeterErrorReportTriggeredEvent)
    [kind] = refused.data.reason.error_types
    assert (kind.code, kind.error_count) == ("meter_event_customer_not_found", 5)
    assert [each.request.identifier for each in kind.sample_errors] == ["bad0", "bad1"]
    assert (lost.type, lost.data.reason.error_types[0].code) == (types[1], "no_meter")  # type: ignore[attr-defined]


def test_the_stream_has_limits_of_its_own(sdk: Client, sandbox: Sandbox, clock: Clock) -> None:
    session = sdk.v2.billing.meter_event_session.create()
    stream = client(sandbox, session.authentication_token).v2.billing.meter_event_stream
    many: Any = [an_event("cus_1", f"e{n}") for n in range(101)]
    with pytest.raises(stripe.InvalidRequestError, match="1 to 100 events"):
        stream.create({"events": many})
    clock.now += 901
    with pytest.raises(stripe.TemporarySessionExpiredError):
        stream.create({"events": many[:1]})
