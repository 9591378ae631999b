"""The shipped contract, kept by Zendesk against the sandbox; and its limits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.records import FieldType, Operation, Record
from reverse_etl_assets.testing.abilities import JobContract, LookupContract, SchemaContract
from reverse_etl_assets.testing.builders import record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Harness, Stored, with_field
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_assets.testing.reading import ReadBackContract
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.heavy import heavy

WRITES = (Operation.UPSERT, Operation.UPDATE, Operation.DELETE)


def fields(group: str) -> dict[str, FieldType]:
    return {
        "name": FieldType.TEXT,
        "notes": FieldType.TEXT,
        "tags": FieldType.JSON,
        f"{group}.customer_tier": FieldType.TEXT,
        f"{group}.lifetime_value": FieldType.DECIMAL,
        f"{group}.orders_count": FieldType.INTEGER,
        f"{group}.churn_risk": FieldType.FLOAT,
        f"{group}.last_order_date": FieldType.DATE,
        f"{group}.trial_ends_at": FieldType.TIMESTAMP,
        f"{group}.interests": FieldType.JSON,
    }


def values(group: str) -> dict[str, tuple[Any, Any]]:
    return {
        "name": ("Ann Ray", "Ann Lee"),
        "notes": ('Zoë said "hi, 日本"\n\\ <b>', "other"),
        "tags": (["vip", "eu"], ["vip"]),
        f"{group}.customer_tier": ("growth", "free"),
        f"{group}.lifetime_value": (Decimal("10.50"), Decimal("-0.01")),
        f"{group}.orders_count": (7, 0),
        f"{group}.churn_risk": (0.1234, 0.1235),
        f"{group}.last_order_date": ("2024-02-29", "2026-02-28"),
        f"{group}.trial_ends_at": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:01.123456Z"),
        f"{group}.interests": (["tea", "coffee"], ["tea"]),
    }


class OnZendesk(Harness):
    """What users and organizations have in common."""

    destination = Zendesk
    text_field = "notes"
    read_only_field = "created_at"
    timestamp_is_text = True
    pace_allowed = 200 / 60

    # Zendesk's own upsert is all that a sync uses; there is no insert.
    test_an_insert_of_what_is_there_is_skipped: Any = None
    # An external id is unique in an account.
    test_all_records_of_a_key_are_told: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        sandbox.settings.change({"zendesk_requests": 1_000_000})
        return sandbox

    @contextmanager
    def paced_server(self, clock: VirtualClock) -> Iterator[Sandbox]:
        with Sandbox(clock=clock, zendesk_job_polls=0) as sandbox:
            yield sandbox

    def refused_for_the_rate(self, server: Sandbox) -> int:
        return sum(line.limit == "minute" for line in server.log.lines("zendesk"))

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.zendesk(server.url)

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return [(e.values["external_id"], e.values) for e in server.zendesk.tables[self.target.object].live()]


class TestUsers(
    OnZendesk, DestinationContract, LookupContract, SchemaContract, JobContract, ReadBackContract, PaceContract
):
    target = target(
        "users",
        "external_id",
        *WRITES,
        **fields("user_fields"),
        email=FieldType.TEXT,
        **{"user_fields.marketing_opt_in": FieldType.BOOLEAN},
    )
    values: ClassVar = {**values("user_fields"), "user_fields.marketing_opt_in": (True, False)}
    never_empty = frozenset({"name", "user_fields.marketing_opt_in"})
    address_field = "email"
    decimal_field = "user_fields.lifetime_value"
    timestamp_field = "user_fields.trial_ends_at"
    pace_rows = 8_000  # 80 jobs, each of which is opened, looked at and collected

    def record(self, number: int) -> Record:
        more = {"user_fields.lifetime_value": Decimal("10.50"), "email": f"p{number}@shop.example"}
        return record(f"cust-{number}", more, name="Ann Ray", notes="-")

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "email", "not an address")

    @heavy
    def test_the_allowed_rate_is_used_and_never_exceeded(self, tmp_path: Path) -> None:
        super().test_the_allowed_rate_is_used_and_never_exceeded(tmp_path)


class TestOrganizations(OnZendesk, LookupContract, ReadBackContract, PaceContract):
    """Upserted one by one; what one record needs is the same as for users."""

    target = target("organizations", "external_id", *WRITES, **fields("organization_fields"))
    values: ClassVar = values("organization_fields")
    never_empty = frozenset({"name"})
    decimal_field = "organization_fields.lifetime_value"
    timestamp_field = "organization_fields.trial_ends_at"
    pace_rows = 240

    # Names of organizations are unique: the two values of `name` are one name for three rows here.
    test_what_was_written_is_read: Any = None

    def record(self, number: int) -> Record:
        more = {"organization_fields.lifetime_value": Decimal("10.50")}
        return record(f"org-{number}", more, name=f"Shop {number}", notes="-")

    @heavy
    def test_the_allowed_rate_is_used_and_never_exceeded(self, tmp_path: Path) -> None:
        super().test_the_allowed_rate_is_used_and_never_exceeded(tmp_path)

    def spoiled(self, record: Record) -> Record:
        return with_field(record, "name", "x" * 256)
