"""What goes to Google, judged by Google's own messages, and what is made of recorded answers. Without a network."""

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from google.ads import datamanager_v1 as google
from google.protobuf import json_format

from reverse_etl_assets.destinations.base import JobState
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.google_ads.answers import AudienceUnusable, RowsRefused, job_state, outcomes
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
    SpecError,
)
from reverse_etl_assets.records import FieldType, Operation, Reason, Record, Status
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

UPSERT, DELETE, TEXT = Operation.UPSERT, Operation.DELETE, FieldType.TEXT
TERMS = {"terms_of_service": "accepted"}
EMAIL, NAME = "a" * 64, "b" * 64
AUDIENCE = target("7090784486", "id", UPSERT, DELETE, email=TEXT, phone=TEXT, ad_user_data=TEXT)
MESSAGES = {
    "ingest": google.IngestAudienceMembersRequest,
    "remove": google.RemoveAudienceMembersRequest,
    "removeAll": google.RemoveAllAudienceMembersRequest,
}


def ads(options: Mapping[str, Any] = TERMS, **settings: Any) -> GoogleAds:
    return accounts.offline(GoogleAds, accounts.google_ads("https://ads.example", **settings), AUDIENCE, **options)


def judged(request: httpx.Request) -> Any:
    """The request as Google's own message reads it; fails for a name or value that there is not."""
    method = request.url.path.rpartition(":")[2]
    return json_format.Parse(request.content, MESSAGES[method].pb(MESSAGES[method]()))


def test_the_request_of_an_upsert() -> None:
    given = {**TERMS, "ad_personalization": "granted"}
    row = record("k1", email=EMAIL, phone="+41 44 668 18 00", ad_user_data=False)
    request = ads(given, login_customer_id="999-999-9999").build_request(batch(UPSERT, row, record("k2", email=NAME)))
    assert (request.method, request.url.path) == ("POST", "/google_ads/v1/audienceMembers:ingest")
    message = json_format.MessageToDict(judged(request))
    [first, second] = message.pop("audienceMembers")
    assert message == {
        "destinations": [
            {
                "loginAccount": {"accountId": "9999999999", "accountType": "GOOGLE_ADS"},
                "operatingAccount": {"accountId": "1234567890", "accountType": "GOOGLE_ADS"},
                "productDestinationId": "7090784486",
            }
        ],
        "consent": {"adPersonalization": "CONSENT_GRANTED"},
        "encoding": "HEX",
        "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
    }
    assert second == {"userData": {"userIdentifiers": [{"emailAddress": NAME}]}}
    assert first["consent"] == {"adUserData": "CONSENT_DENIED"}
    phone = hashlib.sha256(b"+41446681800").hexdigest()
    assert first["userData"]["userIdentifiers"] == [{"emailAddress": EMAIL}, {"phoneNumber": phone}]


def test_the_request_of_a_delete_has_neither_consent_nor_terms() -> None:
    given = {**TERMS, "ad_personalization": "granted"}
    request = ads(given).build_request(batch(DELETE, record("k1", destination_id=f"e:{EMAIL}")))
    assert request.url.path.endswith("audienceMembers:remove")
    message = json_format.MessageToDict(judged(request))
    assert set(message) == {"destinations", "audienceMembers", "encoding"}
    assert message["audienceMembers"] == [{"userData": {"userIdentifiers": [{"emailAddress": EMAIL}]}}]


def test_no_plain_identifier_is_in_a_request() -> None:
    address = {"given_name": "Annabel", "family_name": "Raymond", "region_code": "GB", "postal_code": "N1"}
    row = record("key-of-ours", email="ann@example.com", phone="+41446681800", **address)
    text = ads().build_request(batch(UPSERT, row)).content.decode().lower()
    for plain in ("ann@", "446681800", "annabel", "raymond", "key-of-ours"):
        assert plain not in text
    judged(ads().build_request(batch(UPSERT, row)))


def test_a_row_that_is_no_member_is_left_out_and_told() -> None:
    rows = batch(UPSERT, record("good", email="a@b.example"), record("bad", email="+@gmail.com"))
    assert len(judged(ads().build_request(rows)).audience_members) == 1
    told = {each.key: each for each in ads().read_response(rows, httpx.Response(200, json={"requestId": "r"}))}
    assert (told["bad"].status, told["bad"].reason) == (Status.FAILED, Reason.INVALID)
    assert told["bad"].error is not None
    assert told["bad"].error.field == "email"
    assert (told["good"].status, told["good"].inferred) == (Status.CREATED, True)


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        (target("audience", "id", email=TEXT), TERMS, "no audience: write the id of its user list"),
        (target("1", "id", e_mail=TEXT), TERMS, "no field `e_mail`; the nearest is `email`"),
        (target("1", "id", ad_user_data=TEXT), TERMS, "nothing that Google knows people by"),
        (target("1", "id", given_name=TEXT, postal_code=TEXT), TERMS, "map `family_name`, `region_code` as well"),
        (AUDIENCE, {**TERMS, "ad_user_data": "granted"}, "`ad_user_data` is mapped, so it cannot be an option too"),
    ],
)
def test_what_is_no_audience_is_refused_when_it_is_loaded(to: Any, options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        GoogleAds.capabilities_for(to, GoogleAds.Options.model_validate(options))


def test_terms_have_to_be_accepted_by_a_person() -> None:
    with pytest.raises(ValueError, match="terms_of_service"):
        GoogleAds.Options.model_validate({})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"service_account": "{}"}, "either `service_account`, or"),
        ({"service_account": '{"key": "secret-key"}', "client_id": None}, "either"),
        ({"refresh_token": None}, "either"),
        ({"customer_id": "12"}, "customer_id"),
    ],
)
def test_a_connection_that_cannot_sign_in_is_refused_without_a_secret(settings: Any, said: str) -> None:
    given = {"customer_id": "1234567890", "client_id": "id", "client_secret": "secret", "refresh_token": "secret"}
    with pytest.raises(ValueError, match=said) as caught:
        GoogleAds.Connection.model_validate({**given, **settings})
    assert "secret-key" not in str(caught.value)


def test_a_key_file_that_is_none_is_refused_without_its_text() -> None:
    with pytest.raises(ValueError, match="is not the JSON text of a service account's key") as caught:
        GoogleAds.Connection.model_validate({"customer_id": "1234567890", "service_account": '{"private_key": "PEM"}'})
    assert "PEM" not in str(caught.value)


# Answers to a request


def refusal(status: int, *details: Mapping[str, Any], message: str = "There was a problem with the request.") -> Any:
    named = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED"}.get(status, "OTHER")
    error = {"code": status, "message": message, "status": named, "details": list(details)}
    return httpx.Response(status, json={"error": error})


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


def bad(*violations: tuple[str, str]) -> dict[str, Any]:
    told = [{"field": field, "reason": reason} for field, reason in violations]
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": told}


@pytest.mark.parametrize(
    ("response", "error", "said"),
    [
        (refusal(401), AuthenticationFailed, "problem"),
        (refusal(403, info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")), AuthenticationFailed, "lacks the scope https://www"),
        (
            refusal(403, info("SERVICE_DISABLED", activationUrl="https://console/enable")),
            AuthenticationFailed,
            "not enabled in the Google Cloud project: enable it at https://console/enable",
        ),
        (refusal(403, info("PERMISSION_DENIED")), AuthenticationFailed, "Audience 7090784486 .* `login_customer_id`"),
        (
            refusal(400, bad(("destinations[0].product_destination_id", "INVALID_USER_LIST_ID"))),
            AudienceUnusable,
            "no such audience in this account, or it was deleted",
        ),
        # As Google answers for a list of another type: it names the first member.
        (
            refusal(400, bad(("audience_members[0]", "INVALID_USER_LIST_TYPE"))),
            AudienceUnusable,
            "no Customer Match audience of contact information",
        ),
        *(
            (refusal(400, bad((place, reason))), AudienceUnusable, said)
            for place in ("destinations[0]", "audience_members[3]")
            for reason, said in {
                "ADVERTISER_NOT_ALLOWLISTED_FOR_UPLOADED_DATA": "may not use lists of uploaded data",
                "ADVERTISER_TOS_NOT_ACCEPTED": "has not accepted the terms",
                "USER_LIST_TYPE_NOT_SUPPORTED_FOR_ACCOUNT": "cannot have audiences of this type",
                "UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES": "made for other keys",
                "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH": "`login_customer_id` has to be left out",
                "REQUIRED_PREREQUISITE_LINK_MISSING": "linked in Google Ads first",
                "DATA_PARTNER_USER_LIST_MUTATE_NOT_ALLOWED": "about the account or the audience",
                "UNSUPPORTED_ACCOUNT_TYPES_FOR_USER_LIST_TYPE": "about the account or the audience",
            }.items()
        ),
        (refusal(403, info("ADVERTISER_TOS_NOT_ACCEPTED")), AudienceUnusable, "has not accepted the terms"),
        (refusal(404), AudienceUnusable, "no such audience"),
        (refusal(400, bad(("terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED"))), AudienceUnusable, "terms"),
        (refusal(400, bad(("encoding", "REQUIRED_FIELD_MISSING"))), RequestRejected, "encoding"),
        (refusal(409), RetryLater, "problem"),
        (
            refusal(429, info("RATE_LIMIT_EXCEEDED", quota_limit="MutateRequestsPerMinutePerProject")),
            RetryLater,
            "problem",
        ),
        (
            refusal(429, info("RATE_LIMIT_EXCEEDED", quota_limit="MutateRequestsPerDayPerProject")),
            QuotaExhausted,
            "of the day are used up",
        ),
        (refusal(503), RetryLater, "problem"),
        (refusal(504), Ambiguous, "problem"),
        (httpx.Response(400, text="<html>"), RequestRejected, "HTTP 400"),
    ],
)
def test_errors_say_what_to_do(response: httpx.Response, error: type[Exception], said: str) -> None:
    found = ads().error_for(response)
    with pytest.raises(error, match=said):
        raise found
    assert isinstance(found, RowsRefused) is False


PATH = "audience_members[3].user_data.user_identifiers[0].address.postal_code"


def test_refused_rows_are_those_whose_place_is_named() -> None:
    response = refusal(
        400,
        bad(
            (f"audience_members.{PATH}", "INVALID_POSTAL_CODE"),
            ("audienceMembers[12]", "INVALID_SHA256_FORMAT"),
        ),
    )
    error = ads().error_for(response)
    assert isinstance(error, RowsRefused)
    told = {at: (row.code, row.field) for at, row in error.rows.items()}
    assert told == {3: ("INVALID_POSTAL_CODE", "postal_code"), 12: ("INVALID_SHA256_FORMAT", None)}


# What became of a request

SENT = [(Record(f"k{n}", f"k{n}", {}), {"userData": {"userIdentifiers": [{"emailAddress": EMAIL}]}}) for n in range(3)]


def status(name: str, **reasons: int) -> dict[str, Any]:
    counts = [{"recordCount": str(n), "reason": f"PROCESSING_ERROR_REASON_{reason}"} for reason, n in reasons.items()]
    told = {"requestStatus": name, "errorInfo": {"errorCounts": counts}}
    answer = {"requestStatusPerDestination": [told]}
    json_format.ParseDict(answer, google.RetrieveRequestStatusResponse.pb(google.RetrieveRequestStatusResponse()))
    return told


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("REQUEST_STATUS_UNKNOWN", JobState.RUNNING),
        ("PROCESSING", JobState.RUNNING),
        ("SUCCESS", JobState.DONE),
        ("PARTIAL_SUCCESS", JobState.DONE),
        ("FAILED", JobState.DONE),
    ],
)
def test_states_of_a_request(name: str, state: JobState) -> None:
    assert job_state(status(name)) is state


def test_a_success_is_inferred_and_remembers_what_was_uploaded() -> None:
    assert [
        (each.status, each.inferred, each.destination_id, each.error)
        for each in outcomes(UPSERT, SENT, status("SUCCESS"))
    ] == [(Status.CREATED, True, f"e:{EMAIL}", None)] * 3
    assert {each.status for each in outcomes(DELETE, SENT, status("SUCCESS"))} == {Status.DELETED}


def test_a_partial_success_says_how_many_and_why() -> None:
    for each in outcomes(UPSERT, SENT, status("PARTIAL_SUCCESS", NO_CONSENT=1, DENIED_CONSENT=1)):
        assert (each.status, each.inferred) == (Status.CREATED, True)
        assert each.error is not None
        assert each.error.code == "PROCESSING_ERROR_REASON_NO_CONSENT"
        assert "refused 2 of 3 members of this request without saying which" in each.error.message


def test_a_failure_rejects_all_unless_it_passes() -> None:
    for each in outcomes(UPSERT, SENT, status("FAILED", NO_CONSENT=3)):
        assert (each.reason, each.retry) == (Reason.REJECTED, False)
    for each in outcomes(UPSERT, SENT, status("FAILED", INTERNAL_ERROR=3)):
        assert (each.reason, each.retry) == (Reason.UNAVAILABLE, True)
    assert {each.reason for each in outcomes(UPSERT, SENT, status("FAILED"))} == {Reason.REJECTED}
