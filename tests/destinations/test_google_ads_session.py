"""Sign-in, checks, jobs and replacements against the sandbox."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr, ValidationError

from reverse_etl_assets.destinations.auth import JwtBearer
from reverse_etl_assets.destinations.base import JobState
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.google_ads.options import GoogleAdsConnection
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed, RequestRejected
from reverse_etl_assets.records import FieldType, Outcome, Reason, Status, Target
from reverse_etl_assets.testing.builders import batch, record
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.destinations.audiences import AUDIENCE, DELETE, TEXT, UPSERT, finished, members, people, with_ads

# Sign-in


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(sandbox: Sandbox, key: rsa.RSAPrivateKey, email: str = "sync@shop.iam.example") -> str:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    token_uri = f"{sandbox.url}/google_ads/token"
    file = {"client_email": email, "private_key": pem, "private_key_id": "k-1", "token_uri": token_uri, "type": "other"}
    return json.dumps(file)


def account(sandbox: Sandbox, text: str) -> GoogleAdsConnection:
    return GoogleAdsConnection(
        base_url=f"{sandbox.url}/google_ads", customer_id="1234567890", service_account=SecretStr(text)
    )


def test_a_service_account_signs_in(sandbox: Sandbox, key: rsa.RSAPrivateKey) -> None:
    with_ads(lambda ads: ads.check(), sandbox, connection=account(sandbox, key_file(sandbox, key)))
    assert [line.path for line in sandbox.log.lines()] == ["/token", "/v1/audienceMembers:ingest"]


def test_the_assertion_is_signed_and_says_what_the_vendor_asks_for(key: rsa.RSAPrivateKey) -> None:
    asked: list[httpx.Request] = []

    def token(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"access_token": "t"})

    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()

    async def work() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(token), base_url="https://a.example") as client:
            claims = {"iss": "app", "sub": "user@org.example", "aud": "https://login.example"}
            await client.get("/x", auth=JwtBearer(client, "/token", SecretStr(pem), claims, key_id="k-1"))

    asyncio.run(work())
    form = parse_qs(asked[0].content.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    [assertion] = form["assertion"]
    told = jwt.decode(assertion, key.public_key(), algorithms=["RS256"], audience="https://login.example")
    assert (told["iss"], told["sub"], told["exp"] - told["iat"]) == ("app", "user@org.example", 180)
    assert jwt.get_unverified_header(assertion)["kid"] == "k-1"
    assert asked[1].headers["Authorization"] == "Bearer t"


@pytest.mark.parametrize("person", [True, False])
def test_a_revoked_sign_in_stops_the_run(sandbox: Sandbox, key: rsa.RSAPrivateKey, person: bool) -> None:
    text = key_file(sandbox, key, email="revoked@shop.iam.example")
    connection = accounts.google_ads(sandbox.url, token="1//revoked") if person else account(sandbox, text)
    with pytest.raises(AuthenticationFailed, match="invalid_grant: Token has been expired or revoked"):
        with_ads(lambda ads: ads.check(), sandbox, connection=connection)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"installed": {"client_id": "a"}}', "it is an OAuth client"),
        ('{"type": "authorized_user", "refresh_token": "1//secret"}', "it is a person's sign-in"),
        ("/etc/keys/google.json", "the name of a file"),
        ("AIzaSecret", "it is no JSON object"),
    ],
)
def test_a_key_of_another_kind_is_told(text: str, said: str) -> None:
    given = {"customer_id": "123-456-7890", "service_account": text}
    with pytest.raises(ValidationError, match=said) as caught:
        GoogleAdsConnection.model_validate(given)
    assert text not in str(caught.value)


def test_a_key_that_is_none_stops_the_run_without_being_shown(sandbox: Sandbox) -> None:
    text = json.dumps({"client_email": "a@b.example", "private_key": "not-a-key"})
    with pytest.raises(AuthenticationFailed, match="no RSA key in PEM") as caught:
        with_ads(lambda ads: ads.check(), sandbox, connection=account(sandbox, text))
    assert "not-a-key" not in repr(caught.value)


# Checks


@pytest.mark.parametrize(
    ("to", "settings", "said"),
    [
        (AUDIENCE, {"google_ads_scope": False}, "lacks the scope"),
        (AUDIENCE, {"google_ads_enabled": False}, "not enabled in the Google Cloud project"),
        (replace(AUDIENCE, object="4711"), {}, "Audience 4711 .* no such audience in this account, or it was deleted"),
        (replace(AUDIENCE, object="1003"), {}, "Audience 1003 .* no Customer Match audience of contact information"),
    ],
)
def test_check_stops_where_nothing_can_be_written(sandbox: Sandbox, to: Target, settings: Any, said: str) -> None:
    sandbox.settings.change(settings)
    with pytest.raises(AuthenticationFailed, match=said):
        with_ads(lambda ads: ads.check(), sandbox, to)


def test_check_names_another_account_and_writes_nothing(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationFailed, match="account 9999999999 is not there for this sign-in"):
        with_ads(lambda ads: ads.check(), sandbox, connection=accounts_of_others(sandbox))
    with_ads(lambda ads: ads.check(), sandbox)
    assert members(sandbox) == 0


def accounts_of_others(sandbox: Sandbox) -> GoogleAdsConnection:
    return accounts.google_ads(sandbox.url).model_copy(update={"customer_id": "9999999999"})


@pytest.mark.parametrize(
    ("field", "kind", "said"),
    [
        ("email", FieldType.INTEGER, "`email` takes text, and the model sends integer"),
        ("ad_user_data", FieldType.INTEGER, "`ad_user_data` takes boolean or text"),
        ("phone_2", FieldType.DECIMAL, "`phone_2` takes text or integer"),
    ],
)
def test_check_refuses_types_that_do_not_fit(sandbox: Sandbox, field: str, kind: FieldType, said: str) -> None:
    to = replace(AUDIENCE, fields={"email": TEXT, field: kind})
    with pytest.raises(CheckFailed, match=said):
        with_ads(lambda ads: ads.check(), sandbox, to, options={"terms_of_service": "accepted"})


# Jobs


def test_a_job_runs_until_google_has_processed_it(sandbox: Sandbox) -> None:
    async def work(ads: GoogleAds) -> None:
        job = await ads.open_job(people("a", "b"))
        assert await ads.poll(job) is JobState.RUNNING
        assert await ads.poll(job) is JobState.DONE
        again = await ads.collect(job, people("a", "b"))
        assert [(each.status, each.inferred) for each in again] == [(Status.CREATED, True)] * 2
        kept = [record(each.key, destination_id=each.destination_id) for each in again]
        gone = await finished(ads, batch(DELETE, *kept))
        assert {each.status for each in gone.values()} == {Status.DELETED}

    with_ads(work, sandbox)
    assert members(sandbox) == 0


def test_another_process_collects_by_the_id_alone(sandbox: Sandbox) -> None:
    sent = people("a", "b")
    job = with_ads(lambda ads: ads.open_job(sent), sandbox)

    async def collected(ads: GoogleAds) -> Any:
        while await ads.poll(job) is JobState.RUNNING:
            pass
        return await ads.collect(job, sent)

    assert {each.status for each in with_ads(collected, sandbox)} == {Status.CREATED}
    assert with_ads(lambda ads: ads.poll("0" * 24), sandbox) is JobState.GONE


def test_a_status_that_is_not_there_yet_is_no_loss(sandbox: Sandbox) -> None:
    async def work(ads: GoogleAds) -> None:
        job = await ads.open_job(people("a"))
        sandbox.google_ads.reset()
        assert await ads.poll(job) is JobState.RUNNING

    with_ads(work, sandbox)


def test_rows_that_google_names_are_refused_and_the_others_asked_for_again(sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="google_ads", percent=20)
    sent = people(*(f"p{number}" for number in range(40)))

    async def work(ads: GoogleAds) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
        first = await finished(ads, sent)
        left = [each for each in sent.records if first[each.key].retry]
        return first, await finished(ads, batch(UPSERT, *left))

    first, second = with_ads(work, sandbox)
    named = {key for key, each in first.items() if each.reason is Reason.REJECTED}
    assert 0 < len(named) < 40
    assert {first[key].error.code for key in named} == {"INVALID_AUDIENCE_MEMBER"}
    assert {each.status for each in second.values()} == {Status.CREATED}
    assert len(second) == members(sandbox) == 40 - len(named)
    assert sandbox.counts()["google_ads"]["operations"]["upsert"] == 2


def test_if_google_names_one_at_a_time_the_engine_looks_by_halves(sandbox: Sandbox) -> None:
    sandbox.settings.change({"google_ads_named_members": 1})
    sandbox.fault("refuse_rows", vendor="google_ads", percent=20)
    sent = people(*(f"p{number}" for number in range(40)))

    async def work(ads: GoogleAds) -> None:
        first = await finished(ads, sent)
        left = [each for each in sent.records if first[each.key].retry]
        assert len(left) == 39
        with pytest.raises(RequestRejected):
            await ads.open_job(batch(UPSERT, *left))

    with_ads(work, sandbox)


def test_refusals_of_a_process_that_is_gone_count_as_not_sent(sandbox: Sandbox) -> None:
    assert with_ads(lambda ads: ads.poll("refused 1"), sandbox) is JobState.OPEN


def test_a_batch_of_rows_that_are_no_members_needs_no_request(sandbox: Sandbox) -> None:
    sent = batch(UPSERT, record("a", email="+@gmail.com"), record("b", email=None))
    found = with_ads(lambda ads: finished(ads, sent), sandbox)
    assert {each.reason for each in found.values()} == {Reason.INVALID}
    assert sandbox.log.lines() == []


def test_consent_of_the_rows_is_told_and_what_google_refuses_is_counted(sandbox: Sandbox) -> None:
    to = replace(AUDIENCE, fields={"email": TEXT, "ad_user_data": FieldType.BOOLEAN})
    options = {"terms_of_service": "accepted", "ad_personalization": "granted"}
    given = {"yes": True, "no": False, "never asked": None}
    sent = batch(UPSERT, *(record(key, email=f"{len(key)}@b.example", ad_user_data=v) for key, v in given.items()))
    found = with_ads(lambda ads: finished(ads, sent), sandbox, to, options=options)
    said = found["yes"].error
    assert said is not None
    assert "refused 2 of 3 members" in said.message
    assert "DENIED_CONSENT: 1" in said.message
    assert "NO_CONSENT: 1" in said.message
    assert members(sandbox) == 1
    without = batch(UPSERT, *sent.records[1:])
    assert {
        each.reason for each in with_ads(lambda ads: finished(ads, without), sandbox, to, options=options).values()
    } == {Reason.REJECTED}
