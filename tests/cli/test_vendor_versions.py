"""Versions of the vendors' APIs: until when each is supported, and who says so before it ends."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.registry import destination_type, destination_types
from reverse_etl_assets.destinations.vendor_api import NOTICE, VendorApi
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource
from reverse_etl_assets.records import FieldType
from reverse_etl_assets.testing.builders import target
from tests.cli.office import Office
from tests.destinations.accounts import hubspot
from tests.pages import ROOT

KINDS = {name: destination_type(name) for name in destination_types()}
VENDORS = {name: kind for name, kind in KINDS.items() if kind.api}
TODAY = datetime.now(UTC).date()
SOME = VendorApi(date(2026, 1, 1), "a page", "v2", {"v1": date(2026, 7, 1), "v2": date(2027, 7, 1)})


def test_what_is_no_vendors_has_none() -> None:
    assert set(KINDS) - set(VENDORS) == {"postgres", "webhook"}


@pytest.mark.parametrize("name", VENDORS)
def test_the_default_version_is_supported_for_90_days_more(name: str) -> None:
    """If this fails, look for the vendor's next version, and hold the adapter against its documentation."""
    api = VENDORS[name].api
    assert api is not None
    end = api.end_of(api.version)
    assert end is None or end - TODAY > timedelta(days=90)
    assert api.checked_on <= TODAY


@pytest.mark.parametrize("name", VENDORS)
def test_the_default_version_is_that_of_the_settings(name: str) -> None:
    kind = VENDORS[name]
    settings = kind.Connection.model_fields.get("api_version")
    assert kind.api is not None
    assert settings is None or settings.default == kind.api.version


@pytest.mark.parametrize("name", VENDORS)
def test_its_page_says_when_it_was_looked_up(name: str) -> None:
    api = VENDORS[name].api
    assert api is not None
    page = (ROOT / "docs" / "destinations" / f"{name}.md").read_text()
    assert api.described() in re.sub(r"\s+", " ", page)


@pytest.mark.parametrize(
    ("version", "before_end", "words"),
    [
        ("v1", NOTICE + timedelta(days=1), None),
        ("v1", NOTICE, "ends on 2026-07-01; set `api_version` to v2."),
        ("v1", timedelta(0), "ends on 2026-07-01; set `api_version` to v2."),
        ("v1", timedelta(days=-1), "ended on 2026-07-01; set `api_version` to v2."),
        ("v3", timedelta(0), None),
    ],
)
def test_a_version_is_warned_of_before_it_ends(version: str, before_end: timedelta, words: str | None) -> None:
    said = SOME.warning("Crm", version, date(2026, 7, 1) - before_end)
    assert said == (words and f"Crm's support of version v1 of its API {words}")


def test_of_the_default_itself_a_later_release_is_needed() -> None:
    said = SOME.warning("Crm", "v2", date(2027, 7, 1))
    assert said == "Crm's support of version v2 of its API ends on 2027-07-01; look for a later release."


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> date:
    """HubSpot's 2026-03 ends in ten days."""
    end = TODAY + timedelta(days=10)
    assert HubSpot.api is not None
    monkeypatch.setattr(HubSpot, "api", replace(HubSpot.api, ends={"2026-03": end}))
    return end


def test_check_and_destinations_tell_it(office: Office, ending: date) -> None:
    office.destinations["crm"] = HubSpotResource(
        base_url=dg.EnvVar("OFFICE_CRM_URL"), access_token=dg.EnvVar("OFFICE_CRM_TOKEN"), api_version="2026-03"
    )
    office.sync("people_to_crm")
    office.build(("ada@shop.example", "Ada", "Bern"))
    said = " ".join(office.ok("check").split())
    assert f"! HubSpot's support of version 2026-03 of its API ends on {ending}" in said
    assert office.json("check")["problems"] == {"people_to_crm": []}
    [row] = office.json("destinations")
    assert (row["version"], row["supported until"]) == ("2026-03", str(ending))
    assert f"version 2026-03, supported until {ending}, checked on 2026-" in " ".join(office.ok("destinations").split())


@pytest.mark.parametrize(
    ("version", "place", "used"),
    [
        ("v3", "contacts", "v3"),
        ("v3", "associations/contacts/companies", "v4"),
        ("2026-03", "associations/contacts/companies", "2026-03"),
    ],
)
def test_associations_of_hubspot_are_of_another_version(version: str, place: str, used: str) -> None:
    connection = hubspot("https://api.hubapi.com").model_copy(update={"api_version": version})
    fields = {name: FieldType.TEXT for name in ("from.email", "to.email") if "/" in place}
    opened = HubSpot.unopened(connection, target(place, "email", **fields), HubSpot.Options())
    assert opened.version_used() == used
