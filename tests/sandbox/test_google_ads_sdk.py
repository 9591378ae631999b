"""Google's own REST client drives the sandbox, and knows its answers and errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.ads import datamanager_v1 as google
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import InvalidOperation

from reverse_etl_sandbox import Sandbox
from tests.sandbox.conftest import Clock

State = google.RequestStatusPerDestination.RequestStatus


class Ads:
    """The official client, with a token of the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        options = ClientOptions(api_endpoint=f"{sandbox.url}/google_ads")
        self.client = google.IngestionServiceClient(
            credentials=AnonymousCredentials(),
            transport="rest",
            client_options=options,
        )
        self.more: dict[str, Any] = {
            "metadata": [("authorization", f"Bearer {sandbox.google_ads.issue_token()}")],
            "retry": None,
        }

    def ingest(self, *members: Any, **changes: Any) -> str:
        granted = google.Consent(ad_user_data="CONSENT_GRANTED", ad_personalization="CONSENT_GRANTED")
        accepted = google.TermsOfService(customer_match_terms_of_service_status="ACCEPTED")
        whole = {"consent": granted, "encoding": "HEX", "terms_of_service": accepted, "destinations": [there()]}
        request = google.IngestAudienceMembersRequest(audience_members=members, **{**whole, **changes})
        return str(self.client.ingest_audience_members(request, **self.more).request_id)

    def remove(self, *members: Any) -> str:
        request = google.RemoveAudienceMembersRequest(audience_members=members, encoding="HEX", destinations=[there()])
        return str(self.client.remove_audience_members(request, **self.more).request_id)

    def status(self, request_id: str) -> Any:
        request = google.RetrieveRequestStatusRequest(request_id=request_id)
        [status] = self.client.retrieve_request_status(request, **self.more).request_status_per_destination
        return status


def there(audience: str = "1001", account: str = "1234567890") -> Any:
    operating = google.ProductAccount(account_id=account, account_type="GOOGLE_ADS")
    return google.Destination(operating_account=operating, product_destination_id=audience)


def person(email: str, consent: Any = None, **address: str) -> Any:
    identifiers = [google.UserIdentifier(email_address=hashlib.sha256(email.encode()).hexdigest())]
    if address:
        identifiers.append(google.UserIdentifier(address=google.AddressInfo(**address)))
    return google.AudienceMember(user_data=google.UserData(user_identifiers=identifiers), consent=consent)


@pytest.fixture
def ads(sandbox: Sandbox) -> Ads:
    return Ads(sandbox)


def live(sandbox: Sandbox) -> int:
    return len(sandbox.google_ads.tables["1001"].live())


def test_members_come_and_go(sandbox: Sandbox, ads: Ads) -> None:
    number = ads.ingest(person("a"), person("b"))
    assert ads.status(number).request_status == State.PROCESSING
    status = ads.status(number)
    assert status.request_status == State.SUCCESS
    told = status.audience_members_ingestion_status.user_data_ingestion_status
    assert (told.record_count, told.user_identifier_count) == (2, 2)
    assert status.destination == there()
    assert live(sandbox) == 2
    ads.ingest(person("a"))
    removed = ads.remove(person("a"), person("never there"))
    ads.status(removed)
    assert ads.status(removed).audience_members_removal_status.user_data_removal_status.record_count == 2
    assert live(sandbox) == 1


def test_who_shares_an_identifier_is_one_member(sandbox: Sandbox, ads: Ads) -> None:
    home = {"given_name": "1" * 64, "family_name": "2" * 64, "region_code": "GB", "postal_code": "N1"}
    ads.ingest(person("a", **home))
    ads.ingest(person("b", **home))
    assert live(sandbox) == 1
    ads.remove(person("a"))
    assert live(sandbox) == 0


def test_consent_is_counted_later(sandbox: Sandbox, ads: Ads) -> None:
    denied = google.Consent(ad_user_data="CONSENT_DENIED")
    number = ads.ingest(person("a"), person("b", denied))
    ads.status(number)
    status = ads.status(number)
    assert status.request_status == State.PARTIAL_SUCCESS
    [count] = status.error_info.error_counts
    assert (count.record_count, count.reason.name) == (1, "PROCESSING_ERROR_REASON_DENIED_CONSENT")
    without = ads.ingest(person("c"), consent=None)
    ads.status(without)
    assert ads.status(without).request_status == State.FAILED
    assert live(sandbox) == 1


def test_all_who_were_added_before_a_time_go(sandbox: Sandbox, clock: Clock, ads: Ads) -> None:
    ads.ingest(person("old"))
    clock.now += 60
    since = datetime.fromtimestamp(clock.now, UTC)
    ads.ingest(person("new"))
    request = google.RemoveAllAudienceMembersRequest(destinations=[there()], remove_as_of_time=since)
    ads.client.remove_all_audience_members(request, **ads.more)
    assert live(sandbox) == 1
    request.remove_as_of_time = datetime.fromtimestamp(clock.now + 60, UTC)
    with pytest.raises(exceptions.BadRequest) as caught:
        ads.client.remove_all_audience_members(request, **ads.more)
    assert reasons(caught.value) == ["INVALID_REMOVE_AS_OF_TIME"]


def reasons(error: Any) -> list[str]:
    """Of the details, as Google's own error class gives them."""
    return [each["reason"] for detail in error.details for each in detail.get("fieldViolations", [])]


def plain(ads: Ads) -> str:
    identifier = google.UserIdentifier(email_address="ann@example.com")
    return ads.ingest(google.AudienceMember(user_data=google.UserData(user_identifiers=[identifier])))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (plain, "INVALID_HEX_ENCODING"),
        (lambda ads: ads.ingest(person("a"), destinations=[there("4711")]), "INVALID_USER_LIST_ID"),
        (lambda ads: ads.ingest(person("a"), destinations=[there("1003")]), "INVALID_USER_LIST_TYPE"),
        (lambda ads: ads.ingest(person("a"), terms_of_service=None), "TERMS_AND_CONDITIONS_NOT_SIGNED"),
        (lambda ads: ads.ingest(person("a"), encoding=0), "REQUIRED_FIELD_MISSING"),
        (lambda ads: ads.ingest(), "TOO_FEW_ELEMENTS"),
        (lambda ads: ads.ingest(*[person("a")] * 10_001), "TOO_MANY_AUDIENCE_MEMBERS"),
        (lambda ads: ads.ingest(google.AudienceMember()), "REQUIRED_FIELD_MISSING"),
        (lambda ads: ads.ingest(person("a", region_code="GB")), "REQUIRED_FIELD_MISSING"),
        (lambda ads: ads.status("nobody's"), "INVALID_REQUEST_ID"),
    ],
)
def test_a_wrong_request_is_refused_as_a_whole(
    sandbox: Sandbox, ads: Ads, call: Callable[[Ads], Any], reason: str
) -> None:
    with pytest.raises(exceptions.BadRequest) as caught:
        call(ads)
    assert reason in reasons(caught.value)
    assert live(sandbox) == 0


def test_only_validated_requests_write_nothing_and_have_no_status(sandbox: Sandbox, ads: Ads) -> None:
    number = ads.ingest(person("a"), validate_only=True)
    assert live(sandbox) == 0
    with pytest.raises(exceptions.BadRequest):
        ads.status(number)


def test_permissions_and_limits(sandbox: Sandbox, clock: Clock, ads: Ads) -> None:
    with pytest.raises(exceptions.Forbidden):
        ads.ingest(person("a"), destinations=[there(account="9999999999")])
    sandbox.settings.change({"google_ads_minute_requests": 3})
    clock.now += 120
    for _ in range(3):
        ads.ingest(person("a"))
    with pytest.raises(exceptions.TooManyRequests) as caught:
        ads.ingest(person("a"))
    assert caught.value.metadata["quota_limit"] == "MutateRequestsPerMinutePerProject"
    sandbox.settings.change({"google_ads_scope": False})
    with pytest.raises(exceptions.Forbidden) as lacking:
        ads.ingest(person("a"))
    assert lacking.value.reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    sandbox.google_ads.expire_tokens()
    with pytest.raises(InvalidOperation):  # on a 401 the client signs in anew, which nobody cannot
        ads.ingest(person("a"))
