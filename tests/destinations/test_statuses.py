"""What every destination makes of a status code, of `Retry-After`, and of a connection that fails: taken, not taken, or
perhaps."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from reverse_etl_assets.destinations.status_errors import error_by_status, retry_after
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    Hopeless,
    RequestRejected,
    RetryLater,
)
from reverse_etl_assets.records import FieldType, Operation, Target

TARGET = Target("Contact", "Id", {"LastName": FieldType.TEXT}, frozenset({Operation.UPDATE}))
HERE = "http://127.0.0.1:1"  # nothing is sent: the transport fails before
MONDAY = "Mon, 30 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "error", "perhaps_done"),
    [
        (429, RetryLater, False),
        (425, RetryLater, False),
        (423, RetryLater, False),
        (503, RetryLater, True),
        (408, RetryLater, True),
        (401, AuthenticationFailed, False),
        (403, AuthenticationFailed, False),
        (407, AuthenticationFailed, False),
        (402, Hopeless, False),
        (400, RequestRejected, False),
        (404, RequestRejected, False),
        (413, RequestRejected, False),
        (302, Ambiguous, True),
        (500, Ambiguous, True),
        (502, Ambiguous, True),
        (504, Ambiguous, True),
    ],
)
def test_a_status_without_better_words(status: int, error: type[DestinationError], perhaps_done: bool) -> None:
    found = error_by_status(httpx.Response(status, headers={"Retry-After": "7"}))
    assert (type(found), found.perhaps_done) == (error, perhaps_done)
    if isinstance(found, RetryLater):
        assert (found.after, found.hold) == (7.0, status == 429)  # only a rate holds the whole account
    if isinstance(found, RequestRejected):
        assert (found.code, found.whole) == (str(status), status == 413)


@pytest.mark.parametrize("status", [405, 411, 413, 414, 415, 417, 421, 431])
def test_a_refusal_of_the_request_as_such_is_one_of_all_its_rows(status: int) -> None:
    """Nobody has looked at them: its method, length, address, format or header is what is refused."""
    found = error_by_status(httpx.Response(status), "said", "E1")
    assert isinstance(found, RequestRejected)
    assert (str(found), found.code, found.whole) == ("said", "E1", True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Mon, 30 Nov 2026 12:00:30 GMT", "Date": MONDAY}, 30.0),
        ({"Retry-After": "Mon, 30 Nov 2026 11:59:00 GMT", "Date": MONDAY}, 0.0),
        ({"Retry-After": "Mon, 30 Nov 2026 13:00:45 +0100", "Date": MONDAY}, 45.0),
        ({"Retry-After": "Mon Nov 30 12:00:20 2026", "Date": MONDAY}, 20.0),  # RFC 9110, 5.6.7: asctime
        ({"Retry-After": "Monday, 30-Nov-26 12:00:25 GMT", "Date": MONDAY}, 25.0),  # and RFC 850
        ({"Retry-After": "Mon, 32 Nov 2026 12:00:30 GMT", "Date": MONDAY}, None),
    ],
)
def test_when_a_retry_is_welcome(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Response(429, headers=headers)) == seconds


def test_a_date_without_the_servers_own_is_compared_with_our_clock() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    found = retry_after(httpx.Response(429, headers={"Retry-After": until}))
    assert found is not None
    assert 500 < found <= 600


class _Fails(httpx.AsyncBaseTransport):
    def __init__(self, error: httpx.RequestError) -> None:
        self.error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ConnectError("refused"), RetryLater),
        (httpx.ConnectTimeout("no answer"), RetryLater),
        (httpx.PoolTimeout("no connection is free"), RetryLater),
        (httpx.ReadTimeout("no answer"), Ambiguous),
        (httpx.WriteTimeout("stuck"), Ambiguous),
        (httpx.ReadError("reset"), Ambiguous),
        (httpx.WriteError("reset"), Ambiguous),
        (httpx.RemoteProtocolError("closed"), Ambiguous),
        (httpx.DecodingError("no gzip"), Ambiguous),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_connection_that_fails(error: httpx.RequestError, told: type[DestinationError]) -> None:
    """What never left may go again; of what may have arrived nobody knows."""

    async def work() -> DestinationError:
        client = httpx.AsyncClient(transport=_Fails(error))
        destination = Webhook(WebhookConnection(base_url=HERE, allow_private=True), TARGET, Webhook.Options(), client)
        with pytest.raises(DestinationError) as found:
            await destination.exchange(httpx.Request("POST", HERE))
        await client.aclose()
        return found.value

    found = asyncio.run(work())
    assert (type(found), found.perhaps_done) == (told, told is Ambiguous)
    assert type(error).__name__ in str(found)
