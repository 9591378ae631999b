"""Meta custom audiences keep the shipped contract against the sandbox, at Meta's rate."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.meta_ads import MetaAds, MetaAdsOptions
from reverse_etl_assets.destinations.meta_ads.destination import REQUESTS_PER_SECOND
from reverse_etl_assets.records import Capabilities, FieldType, Operation, Record, Target
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Harness, Stored, with_field
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_sandbox import meta_ads as meta
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.heavy import heavy


def email(number: int) -> str:
    return f"ann.{number}@example.com"


HASHES = {hashlib.sha256(email(number).encode()).hexdigest(): email(number) for number in range(20)}


class People(Harness):
    """An audience of people with a value."""

    destination: ClassVar[type[MetaAds]] = MetaAds
    target = target(
        meta.BY_VALUE,
        "EMAIL",
        Operation.UPSERT,
        Operation.DELETE,
        EXTERN_ID=FieldType.TEXT,
        MADID=FieldType.TEXT,
        LOOKALIKE_VALUE=FieldType.DECIMAL,
    )
    text_field = "EXTERN_ID"
    decimal_field = "LOOKALIKE_VALUE"

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.meta_ads(server.url)

    def record(self, number: int) -> Record:
        key = email(number)
        return record(f"cust-{number}", external_id=key, EXTERN_ID=f"crm-{number}", LOOKALIKE_VALUE=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "MADID", "no device")

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        people = server.meta_ads.tables[meta.BY_VALUE].live()
        return [(HASHES.get(each.values["EMAIL"], each.id), each.values) for each in people]


class TestMetaAds(People, DestinationContract):
    # What Meta once knew of a person it keeps: an empty cell says nothing.
    test_null_clears_a_field: Any = None
    # The schema has no times.
    test_a_time_arrives_as_the_same_moment: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        return sandbox


class OneByOne(MetaAds):
    """One entry a request: 50 million rows would be too many for a test."""

    @classmethod
    def capabilities_for(cls, target: Target, options: MetaAdsOptions) -> Capabilities:
        return replace(super().capabilities_for(target, options), max_rows=1)


@heavy
class TestPace(People, PaceContract):
    """In a rolling hour, at a fiftieth of the limit, and a little below for the check's own call."""

    destination = OneByOne
    pace_rows = 130
    pace_allowed = 100 / 3_600

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.meta_ads(server.url, requests_per_second=REQUESTS_PER_SECOND / 50 * 0.97)

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[Sandbox]:
        with Sandbox(clock, meta_ads_calls=100) as sandbox:
            yield sandbox

    def refused_for_the_rate(self, server: Sandbox) -> int:
        return sum(line.limit == "hour" for line in server.log.lines())
