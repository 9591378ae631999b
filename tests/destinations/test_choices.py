"""A list column and a field of several choices, at the vendors that have one: sent, read back, compared, refused."""

from typing import Any

import pytest

from reverse_etl_assets.destinations import choices
from reverse_etl_assets.records import Reason, Status
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import a_crm
from tests.engine.shop import Shop
from tests.heavy import first_rows, heavy

FIELDS = {"hubspot": "interests", "salesforce": "Interests__c"}
ROWS = "select 'p' || i || '@shop.example' as email, 'Name' as name, '+1' as phone, {} as interests from range(3) r(i)"


def test_choices_are_the_same_in_any_order_and_without_blanks_around() -> None:
    assert choices.same(["tea ", "coffee"], ["coffee", "tea"])
    assert not choices.same(["tea"], ["tea", "coffee"])


@pytest.mark.parametrize(
    ("vendor", "options"), first_rows([("hubspot", {}), ("salesforce", {}), ("salesforce", {"bulk_threshold": 1})])
)
def test_lists_of_choices(shop: Shop, sandbox: Sandbox, vendor: str, options: dict[str, Any]) -> None:
    crm, field = a_crm(vendor, sandbox), FIELDS[vendor]
    kind = "Contact" if vendor == "salesforce" else crm.object
    sync = crm.sync(
        object=kind, mapping={field: "interests", crm.company: None}, options=options, verify={"sample": 10}
    )
    held = sandbox.app.control.people.table(vendor, kind)
    shop.build(ROWS.format(repr(["tea", "coffee"])))
    first = shop.run(sync, crm.account)
    assert (first.counts["created"], first.verified and first.verified.differing) == (3, 0)
    assert {frozenset(entry.values[field].split(";")) for entry in held.live()} == {frozenset({"tea", "coffee"})}
    shop.build(ROWS.format("case i when 0 then [] when 1 then null else ['equipment'] end"))
    assert shop.run(sync, crm.account).counts["updated"] == 3
    assert sorted(str(entry.values.get(field) or None) for entry in held.live()) == ["None", "None", "equipment"]
    shop.build(ROWS.format("case i when 0 then ['tea;coffee'] when 1 then ['tea', null] else ['tea'] end"))
    told = shop.outcomes(sync, shop.run(sync, crm.account).run_id)
    assert sorted((each.status, each.reason or "", each.field or "") for each in told) == [
        (Status.FAILED, Reason.INVALID, field),
        (Status.FAILED, Reason.INVALID, field),
        (Status.UPDATED, "", ""),
    ]


@heavy
def test_an_empty_choice_adds_nothing_to_those_that_are_there(shop: Shop, sandbox: Sandbox) -> None:
    """HubSpot takes `;tea` for tea beside what is chosen already."""
    crm = a_crm("hubspot", sandbox)
    sync = crm.sync(mapping={"interests": "interests", crm.company: None})
    shop.build(ROWS.format("['coffee']"))
    shop.run(sync, crm.account)
    shop.build(ROWS.format("case i when 0 then ['', 'tea'] when 1 then ['tea', ' '] else [''] end"))
    told = shop.outcomes(sync, shop.run(sync, crm.account).run_id)
    assert [(each.status, each.reason, each.field) for each in told] == [("failed", Reason.INVALID, "interests")] * 3
    assert set(crm.values("interests").values()) == {"coffee"}
