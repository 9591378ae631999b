"""The shipped contract, kept by Google Ads audiences against the sandbox."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.google_ads.options import GoogleAdsOptions
from reverse_etl_assets.records import Capabilities, FieldType, Operation, Record, Target
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Harness, Stored, with_field
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.limited import limited

TEXT = FieldType.TEXT


@cache
def keys_by_hash() -> dict[str, str]:
    people = (f"person-{number}@example.com" for number in range(10_000))
    return {hashlib.sha256(email.encode()).hexdigest(): f"cust-{n}" for n, email in enumerate(people)}


class SmallRequests(GoogleAds):
    """So that a thousand rows are many requests."""

    @classmethod
    def capabilities_for(cls, target: Target, options: GoogleAdsOptions) -> Capabilities:
        return limited(GoogleAds, max_rows=2, jobs={"max_rows": 2}).capabilities_for(target, options)


class Audience(Harness):
    destination = GoogleAds
    target = target(
        "1001",
        "customer_id",
        Operation.UPSERT,
        Operation.DELETE,
        email=TEXT,
        given_name=TEXT,
        family_name=TEXT,
        region_code=TEXT,
        postal_code=TEXT,
    )
    options: ClassVar[Mapping[str, Any]] = {
        "terms_of_service": "accepted",
        "ad_user_data": "granted",
        "ad_personalization": "granted",
    }
    text_field = "postal_code"

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.google_ads(server.url)

    def record(self, number: int) -> Record:
        name = {"given_name": "Ann", "family_name": f"Ray {number}", "region_code": "GB", "postal_code": "N1"}
        return record(f"cust-{number}", email=f"person-{number}@example.com", **name)

    def spoiled(self, record: Record) -> Record:
        return with_field(with_field(record, "region_code", "US"), "postal_code", "unknown")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        """Fields by our own key, which Google is not told: found by the hash of the address."""
        live = (entry.values for entry in server.google_ads.tables["1001"].live())
        return [(keys_by_hash()[held["emailAddress"]], {"postal_code": held["postalCode"]}) for held in live]


class TestGoogleAds(Audience, DestinationContract):
    # Identifiers are added to those that are there, and nothing is cleared; names and addresses leave as hashes; there
    # are no numbers and times; our own key does not leave.
    test_null_clears_a_field: Any = None
    test_text_arrives_as_it_is: Any = None
    test_a_decimal_keeps_every_digit_in_the_request: Any = None
    test_a_time_arrives_as_the_same_moment: Any = None
    test_keys_fold_as_the_capabilities_say: Any = None
    test_a_partial_write_leaves_the_other_fields_alone: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        return sandbox


class TestPace(Audience, PaceContract):
    destination = SmallRequests
    pace_rows = 60
    pace_allowed = 5.0

    def paced_server(self, clock: VirtualClock) -> AbstractContextManager[Sandbox]:
        return Sandbox(clock=clock, google_ads_polls=0)

    def refused_for_the_rate(self, server: Sandbox) -> int:
        return int(server.counts()["google_ads"]["status"].get("429", 0))
