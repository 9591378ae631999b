"""An answer that an adapter does not know is passed on in its first words, without secrets and the values of rows."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from reverse_etl_assets.destinations.auth import ClientCredentials
from reverse_etl_assets.destinations.base import HttpDestination, decode_json
from reverse_etl_assets.destinations.first_words import MOST, first_words
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.intercom import Intercom
from reverse_etl_assets.destinations.meta_ads import MetaAds
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.slack import Slack
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed
from reverse_etl_assets.records import FieldType, Operation
from reverse_etl_assets.testing.builders import target
from tests.destinations import accounts

URL = "https://api.example"
EVERY: list[tuple[type[HttpDestination[Any, Any]], Any, str, dict[str, Any]]] = [
    (Salesforce, accounts.salesforce(URL), "Contact", {}),
    (HubSpot, accounts.hubspot(URL), "contacts", {}),
    (Intercom, accounts.intercom(URL), "contacts", {}),
    (Stripe, accounts.stripe(URL), "customers", {}),
    (Slack, accounts.slack(URL), "#news", {"text": "hello"}),
    (Zendesk, accounts.zendesk(URL), "users", {}),
    (MetaAds, accounts.meta_ads(URL), "123", {}),
    (GoogleAds, accounts.google_ads(URL), "123", {"terms_of_service": "accepted"}),
    (Webhook, accounts.webhook(URL), "people", {"path": "/people"}),
]
PAGE = """<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>b {color: red}</style></head>
<body><center><h1>The firewall &amp; its rule 7</h1></center><script>alert(1)</script></body></html>"""


def opened(kind: type[HttpDestination[Any, Any]], connection: Any, name: str, options: dict[str, Any]) -> Any:
    to = target(name, "external_id", Operation.UPSERT, email=FieldType.TEXT)
    return accounts.offline(kind, connection, to, **options)


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each[0].__name__)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503])
@pytest.mark.parametrize(
    "body",
    [
        PAGE,
        '{"why":"The firewall & its rule 7"}',
        '{"errors":[{"code":"odd"}],"why":"The firewall & its rule 7"}',
        '{"error":{"code":"odd"},"why":"The firewall & its rule 7"}',
        '[{"errorCode":"ODD"},{"why":"The firewall & its rule 7"}]',
        "The firewall & its rule 7",
    ],
)
def test_what_nobody_knows_is_passed_on(each: Any, status: int, body: str) -> None:
    error = opened(*each).error_for(httpx.Response(status, text=body, request=httpx.Request("POST", URL)))
    assert "The firewall" in str(error)
    assert f"HTTP {status}" in str(error)


def answered(body: str, request: httpx.Request | None = None, status: int = 400) -> str:
    return first_words(httpx.Response(status, text=body, request=request))


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each[0].__name__)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500])
@pytest.mark.parametrize(
    "beside",
    [
        {"why": "The firewall & its rule 7"},
        {"message": "The firewall & its rule 7"},
        {"description": "The firewall & its rule 7"},
        {"info": {"message": "The firewall & its rule 7"}},
        {"errors": [{"detail": "The firewall & its rule 7"}]},
    ],
    ids=lambda beside: next(iter(beside)),
)
def test_a_word_hides_no_reason_that_stands_beside_it(each: Any, status: int, beside: dict[str, Any]) -> None:
    response = httpx.Response(status, json={"error": "odd", **beside})
    assert "The firewall & its rule 7" in str(opened(*each).error_for(response))


def test_a_page_is_read_as_a_person_reads_it() -> None:
    assert answered(PAGE) == "502 Bad Gateway The firewall & its rule 7"


def test_only_the_first_words_are_passed_on() -> None:
    found = answered("word " * 1_000)
    assert len(found) <= MOST + 4
    assert found.endswith("word ...")


@pytest.mark.parametrize("content", [b"", b" \n ", bytes(range(128, 256)) * 4, b"\x00\x01\x02\x03ab"])
def test_what_nobody_can_read_has_no_words(content: bytes) -> None:
    assert first_words(httpx.Response(400, content=content)) == ""


HEADERS = {
    "Authorization": "Bearer pat-na1-secret",
    "X-Api-Key": "k3y-of-mine",
    "Cookie": "session=abcdef123",
}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"admin@shop.example/token:zd-secret").decode()}


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [(HEADERS, ["pat-na1-secret", "k3y-of-mine", "abcdef123"]), (BASIC, ["zd-secret", BASIC["Authorization"][6:]])],
)
def test_no_secret_of_the_request_is_shown(headers: dict[str, str], secrets: list[str]) -> None:
    request = httpx.Request("POST", f"{URL}/x?access_token=in-the-url", headers=headers, content=b"{}")
    for secret in [*secrets, "in-the-url"]:
        found = answered(f"denied: {secret}, and again {secret.upper()}!", request)
        assert secret.lower() not in found.lower()
        assert found.startswith("denied: ***")


ROW = {"inputs": [{"id": "Ann|7", "properties": {"name": "Ann Ray", "phone": 4917012345, "note": "a  long\nnote"}}]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(ROW).encode(), "Ann Ray of 4917012345 wrote a long note (Ann|7)"),
        (b"name=Ann+Ray&phone=4917012345", "ANN RAY of 4917012345"),
        (b'name,phone\n"Ann Ray",4917012345\n', "row: Ann Ray,4917012345"),
        (json.dumps({"body": json.dumps(ROW)}).encode(), "Ann Ray of 4917012345"),
        (b"{}", "ann.ray@shop.example and ann%40shop.example"),
    ],
)
def test_no_value_of_a_row_is_shown(content: bytes, said: str) -> None:
    found = answered(f"<h1>Blocked</h1>{said}", httpx.Request("POST", URL, content=content))
    assert found.startswith("Blocked")
    assert "***" in found
    for value in ("ann", "ray", "4917012345", "note", "shop.example"):
        assert value not in found.lower()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Zoë Núñez", json.dumps({"why": "Zoë Núñez"})),
        ("Zoë Núñez", json.dumps(json.dumps({"why": "Zoë Núñez"}))),
        ("Zoë Núñez", "Zo%C3%AB+N%C3%BA%C3%B1ez"),
        ("Main/Street 5", '{"why":"Main\\/Street 5"}'),
        ('Ann "Rae" Ray', '{"why":"Ann \\"Rae\\" Ray"}'),
        ("O'Neil & Co", "O&#39;Neil &amp; Co"),
        ("one\ntwo", json.dumps({"why": "one\ntwo"})),
        ("z@x.com", '{"why":"z\\u0040x.com"}'),
        ("山田太郎", "山田太郎さんは無効です"),
        (1234567.5, "1234567.50 or 1234567.5"),
        (1e16, "10000000000000000 or 1e16"),
    ],
)
@pytest.mark.parametrize("body", ["{}", "<h1>Blocked</h1>{}"])
def test_no_value_is_shown_in_another_spelling(value: object, said: str, body: str) -> None:
    sent = json.dumps({"it": value}).replace("1234567.5", "1234567.50").replace("1e+16", "1e16").encode()
    found = answered(body.format(said), httpx.Request("POST", URL, content=sent))
    assert "***" in found
    for part in ("Zo", "ez", "Main", "Rae", "Neil", "two", "x.com", "山田", "1234567", "0000", "e16"):
        assert part not in found


@pytest.mark.parametrize("each", EVERY[:-1], ids=lambda each: each[0].__name__)  # a webhook's answer is one's own
def test_no_value_is_shown_wherever_words_stand(each: Any) -> None:
    request = httpx.Request("POST", URL, json={"email": "ann@example.com", "name": "Ann Smith"})
    body = {"error": "odd", "info": {"message": "no Ann Smith, ann@example.com"}, "details": {"name": ["Ann Smith"]}}
    said = str(opened(*each).error_for(httpx.Response(400, json=body, request=request)))
    assert "Ann" not in said
    assert "ann@" not in said


def test_a_value_in_a_longer_word_hides_no_word() -> None:
    request = httpx.Request("POST", URL, content=json.dumps({"name": "Ann", "city": "to", "ok": True}).encode())
    assert answered("Annual limits: true to all, said Ann", request) == "Annual limits: true to all, said ***"


def test_a_body_that_went_out_in_a_stream_leaves_nothing_to_compare() -> None:
    """Then nothing is passed on: nobody can say what of it was sent."""
    request = httpx.Request("POST", URL, content=iter([b"Ann Ray"]))
    assert answered("no Ann Ray here", request) == ""


def test_of_a_large_request_nothing_is_compared_and_nothing_passed_on() -> None:
    request = httpx.Request("POST", URL, content=b'{"name": "' + b"n" * 600_000 + b'"}')
    assert first_words(httpx.Response(502, text="a firewall says no", request=request)) == ""


def test_a_good_answer_that_is_no_json_is_quoted() -> None:
    answer = httpx.Response(200, text="<title>Sign in</title><body>to go on</body>", request=httpx.Request("GET", URL))
    with pytest.raises(Ambiguous, match="HTTP 200 with a body that is not JSON: Sign in to go on"):
        decode_json(answer)


@pytest.mark.parametrize("said", ["Not for you.", "Not for you", "Not for you. "])
def test_words_that_end_with_a_stop_have_one(said: str) -> None:
    assert f"{bare(said)}. Ask." == "Not for you. Ask."


@pytest.mark.parametrize(
    ("url", "advice", "said"),
    [
        ("/token", {}, "look whether `base_url` is right."),
        ("https://sign.in.example/token", {}, "look whether `token_url` is right."),
        ("/token", {"404": "`base_url` is https://x"}, "`base_url` is https://x."),
    ],
)
def test_a_token_that_is_not_there_has_one_hint(url: str, advice: dict[str, str], said: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, text="No such page.")

    async def work() -> str:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://crm.example")
        tokens = ClientCredentials(client, url, "id", SecretStr("secret"))
        tokens.advice = advice
        with pytest.raises(AuthenticationFailed) as caught:
            await tokens.token()
        return str(caught.value)

    refused = "the token was refused: HTTP 404 Not Found: No such page, without an access_token; "
    assert asyncio.run(work()) == refused + said
