"""The same people in either CRM: a sync, an account, and what a person sees and does there."""

from dataclasses import dataclass
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.launcher import salesforce
from tests.engine.shop import crm, sink_sync

PEOPLE = (
    "select i::varchar as id, 'p' || i || '@shop.example' as email, 'Name ' || i as name,"
    " '+1 555 ' || (1000 + i) as phone, 'C' || i as company, timestamp '2026-01-01' as changed_at from range({}) r(i)"
)


@dataclass(frozen=True)
class Crm:
    """One vendor's names for the fields of a person, and a hand on its records."""

    vendor: str
    object: str
    key: str
    name: str
    phone: str
    company: str
    sandbox: Sandbox

    @property
    def account(self) -> Account:
        return salesforce(self.sandbox.url) if self.vendor == "salesforce" else crm(self.sandbox.url)

    def sync(self, **changes: Any) -> Sync:
        """Name, phone and company of the model `people`; the key is its e-mail address."""
        fields = {self.name: "name", self.phone: "phone", self.company: "company"}
        spec: dict[str, Any] = {
            "sync": f"people_to_{self.vendor}",
            "destination": self.account.name,
            "object": self.object,
            "primary_key": "email",
            "external_id": self.key,
            "mapping": {k: v for k, v in {**fields, **changes.pop("mapping", {})}.items() if v is not None},
            "sync_mode": "mirror",
            "options": {},
            "verify": {"sample": 0},
            "guards": {"max_removed": {}, "row_count": {"percent": None, "deviations": None}},
        }
        return sink_sync(**{**spec, **changes})

    @property
    def records(self) -> dict[str, Any]:
        """Live records by key."""
        table = self.sandbox.app.control.people.table(self.vendor, self.object)
        return {entry.values[self.key]: entry for entry in table.live()}

    def values(self, field: str) -> dict[str, Any]:
        return {key: entry.values.get(field) for key, entry in self.records.items()}

    def edit(self, key: str, **values: Any) -> None:
        """A person changes a record."""
        self.sandbox.edit(self.vendor, self.object, self.records[key].id, values, values.pop("at", None))

    def add(self, **values: Any) -> None:
        """A person makes a record."""
        self.sandbox.add(self.vendor, self.object, values)

    def remove(self, key: str) -> None:
        self.sandbox.remove(self.vendor, self.object, self.records[key].id)

    def snapshot(self) -> bytes:
        return self.sandbox.snapshot(self.vendor, self.object)

    def requests(self, *words: str) -> int:
        """Requests so far whose method and path have these words."""
        lines = [f"{line.method} {line.path}" for line in self.sandbox.log.lines()]
        return sum(all(word in line for word in words) for line in lines)


def a_crm(vendor: str, sandbox: Sandbox) -> Crm:
    if vendor == "salesforce":
        return Crm(vendor, "Lead", "External_Id__c", "LastName", "Phone", "Company", sandbox)
    return Crm(vendor, "contacts", "email", "lastname", "phone", "company", sandbox)


@pytest.fixture
def hub(sandbox: Sandbox) -> Crm:
    return a_crm("hubspot", sandbox)


@pytest.fixture
def force(sandbox: Sandbox) -> Crm:
    return a_crm("salesforce", sandbox)
