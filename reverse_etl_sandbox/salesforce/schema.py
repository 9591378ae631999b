"""The Salesforce objects of the sandbox. Add a field by adding a line.

``*`` after a name marks a field that a record must have; see ``Field`` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``length`` is in characters; ``precision`` counts all digits, ``scale`` those after the point."""

    name: str
    type: str
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    required: bool = False
    writable: bool = True
    external_id: bool = False
    id_lookup: bool = False
    unique: bool = False
    case_sensitive: bool = False
    options: tuple[str, ...] = ()
    restricted: bool = False
    refers_to: str = ""
    beyond: tuple[str, ...] = ()
    """Of a lookup, the objects that it may lead to and that the sandbox does not have."""
    calculated: bool = False
    default: Any = None

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One object. ``prefix`` is the first three characters of its record ids."""

    name: str
    label: str
    prefix: str
    fields: tuple[Field, ...]
    record_types: Mapping[str, str] = field(default_factory=dict)
    """Ids by developer name."""
    by_name: dict[str, Field] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {})
        self.reset()

    def reset(self) -> None:
        """Every field has its own name again."""
        self.by_name.clear()
        # Field names are case-insensitive in Salesforce.
        self.by_name.update({part.name.casefold(): part for part in self.fields})

    def rename(self, name: str, other: str) -> None:
        """As an admin does. Raises KeyError if there is no such field."""
        part = self.by_name.pop(name.casefold())
        self.by_name[other.casefold()] = replace(part, name=other)

    def field(self, name: str) -> Field | None:
        return self.by_name.get(name.casefold())

    def key_fields(self) -> dict[str, bool]:
        """Fields that find a record, and whether their values are case-sensitive."""
        return {
            part.name: part.case_sensitive
            for part in self.fields
            if part.name != "Id" and (part.external_id or part.id_lookup or part.unique)
        }


def _named(name: str) -> dict[str, Any]:
    plain = name.removesuffix("*")
    words = plain.removesuffix("__c").replace("_", " ")
    return {"name": plain, "label": words, "required": name.endswith("*")}


def text(name: str, length: int = 255, **more: Any) -> Field:
    return Field(**_named(name), type="string", length=length, **more)


def long_text(name: str, length: int = 32_000) -> Field:
    return Field(**_named(name), type="textarea", length=length)


def email(name: str, **more: Any) -> Field:
    return Field(**_named(name), type="email", length=80, **more)


def phone(name: str) -> Field:
    return Field(**_named(name), type="phone", length=40)


def url(name: str) -> Field:
    return Field(**_named(name), type="url", length=255)


def picklist(name: str, *options: str, restricted: bool = False) -> Field:
    return Field(**_named(name), type="picklist", length=255, options=options, restricted=restricted)


def choices(name: str, *options: str) -> Field:
    return Field(**_named(name), type="multipicklist", length=4_099, options=options, restricted=True)


def number(name: str, precision: int = 18, scale: int = 0, **more: Any) -> Field:
    return Field(**_named(name), type="double", precision=precision, scale=scale, **more)


def whole(name: str) -> Field:
    return Field(**_named(name), type="int", precision=8)


def currency(name: str, precision: int = 18, scale: int = 2) -> Field:
    return Field(**_named(name), type="currency", precision=precision, scale=scale)


def percent(name: str) -> Field:
    return Field(**_named(name), type="percent", precision=5, scale=2)


def date(name: str) -> Field:
    return Field(**_named(name), type="date")


def moment(name: str, **more: Any) -> Field:
    return Field(**_named(name), type="datetime", **more)


def daytime(name: str) -> Field:
    return Field(**_named(name), type="time")


def checkbox(name: str) -> Field:
    return Field(**_named(name), type="boolean", default=False)


def reference(name: str, refers_to: str) -> Field:
    return Field(**_named(name), type="reference", length=18, refers_to=refers_to)


def owner(*kinds: str) -> Field:
    return Field("OwnerId", "reference", "Owner ID", length=18, beyond=kinds)


def external_id(name: str = "External_Id__c", length: int = 64) -> Field:
    return Field(**_named(name), type="string", length=length, external_id=True, id_lookup=True, unique=True)


SYSTEM = (
    Field("Id", "id", "Record ID", length=18, writable=False, id_lookup=True),
    Field("IsDeleted", "boolean", "Deleted", writable=False),
    moment("CreatedDate", writable=False),
    moment("LastModifiedDate", writable=False),
    moment("SystemModstamp", writable=False),
)

SEGMENTS = ("champion", "loyal", "new", "at_risk", "lapsed", "high_value_at_risk", "dormant", "regular")
STAGES = ("Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost")


def _formula(name: str, of: str) -> Field:
    return text(name, 1_300, writable=False, calculated=True, default=of)


OBJECTS: dict[str, ObjectType] = {
    kind.name: kind
    for kind in (
        ObjectType(
            "Contact",
            "Contact",
            "003",
            (
                *SYSTEM,
                owner("User"),
                text("LastName*", 80),
                text("FirstName", 40),
                text("Name", 121, writable=False),
                email("Email", id_lookup=True),
                phone("Phone"),
                phone("MobilePhone"),
                text("Title", 128),
                text("Department", 80),
                text("MailingStreet", 255),
                text("MailingCity", 40),
                text("MailingState", 80),
                text("MailingPostalCode", 20),
                text("MailingCountry", 80),
                long_text("Description"),
                picklist("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Other"),
                checkbox("HasOptedOutOfEmail"),
                reference("AccountId", "Account"),
                external_id(),
                picklist("Segment__c", *SEGMENTS, restricted=True),
                currency("Lifetime_Value__c", 16, 2),
                number("Churn_Risk__c", 5, 4),
                number("Orders__c", 18, 0),
                currency("Average_Order_Value__c", 16, 2),
                date("Last_Order_Date__c"),
                date("First_Order_Date__c"),
                moment("Trial_Ends_At__c"),
                checkbox("Marketing_Opt_In__c"),
                text("Favourite_Product__c", 80),
                choices("Interests__c", "coffee", "tea", "equipment", "subscriptions"),
                daytime("Call_Me_At__c"),
                _formula("Greeting__c", "FirstName"),
            ),
        ),
        ObjectType(
            "Account",
            "Account",
            "001",
            (
                *SYSTEM,
                reference("RecordTypeId", ""),
                text("Name*", 255),
                text("AccountNumber", 40),
                picklist("Type", "Prospect", "Customer", "Partner", "Other"),
                picklist("Industry", "Technology", "Retail", "Finance", "Healthcare", "Other"),
                url("Website"),
                phone("Phone"),
                text("BillingCity", 40),
                text("BillingCountry", 80),
                currency("AnnualRevenue", 18, 0),
                whole("NumberOfEmployees"),
                long_text("Description"),
                external_id(),
                picklist("Segment__c", "enterprise", "mid_market", "small_business", restricted=True),
                currency("Lifetime_Value__c", 16, 2),
                number("Health_Score__c", 5, 2),
                currency("Arr__c", 16, 2),
                currency("Mrr__c", 16, 2),
                number("Active_Users__c", 18, 0),
                number("Seats__c", 18, 0),
                number("Open_Tickets__c", 18, 0),
                text("Plan__c", 40),
                date("Renewal_Date__c"),
                date("Last_Order_Date__c"),
                moment("Last_Active_At__c"),
                checkbox("Is_Customer__c"),
                _formula("Greeting__c", "Name"),
            ),
            record_types={"Business": "0125g000000Bus1AAC", "Partner": "0125g000000Par1AAC"},
        ),
        ObjectType(
            "Lead",
            "Lead",
            "00Q",
            (
                *SYSTEM,
                owner("Group", "User"),
                text("LastName*", 80),
                text("Company*", 255),
                text("FirstName", 40),
                text("Name", 121, writable=False),
                email("Email", id_lookup=True),
                phone("Phone"),
                text("Title", 128),
                url("Website"),
                text("City", 40),
                text("Country", 80),
                long_text("Description"),
                picklist("Status", "Open - Not Contacted", "Working - Contacted", "Closed - Converted"),
                picklist("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Other"),
                picklist("Rating", "Hot", "Warm", "Cold"),
                external_id(),
                number("Lead_Score__c", 5, 2),
                picklist("Lead_Grade__c", "hot", "warm", "cold", restricted=True),
                number("Page_Views__c", 18, 0),
                number("Sessions__c", 18, 0),
                number("Trial_Days_Left__c", 18, 0),
                moment("Trial_Ends_At__c"),
                moment("Last_Seen_At__c"),
                text("Top_Reason__c", 255),
                checkbox("Marketing_Opt_In__c"),
                _formula("Greeting__c", "FirstName"),
            ),
        ),
        ObjectType(
            "Opportunity",
            "Opportunity",
            "006",
            (
                *SYSTEM,
                text("Name*", 120),
                Field("StageName", "picklist", "Stage", length=255, required=True, options=STAGES),
                Field("CloseDate", "date", "Close Date", required=True),
                currency("Amount", 18, 2),
                percent("Probability"),
                picklist("Type", "New Customer", "Existing Customer - Upgrade"),
                text("NextStep", 255),
                long_text("Description"),
                reference("AccountId", "Account"),
                external_id(),
                currency("Expansion_Potential__c", 16, 2),
                number("Product_Usage_Score__c", 5, 2),
                checkbox("Is_Expansion__c"),
                _formula("Greeting__c", "Name"),
            ),
        ),
        ObjectType(
            "Product_Usage__c",
            "Product Usage",
            "a01",
            (
                *SYSTEM,
                text("Name", 80),
                external_id(),
                text("Account_External_Id__c", 64),
                reference("Account__c", "Account"),
                text("Product__c", 80),
                number("Active_Users__c", 18, 0),
                number("Events_30d__c", 18, 0),
                number("Adoption_Score__c", 5, 2),
                date("Usage_Date__c"),
                moment("Last_Event_At__c"),
                _formula("Greeting__c", "Product__c"),
            ),
        ),
    )
}
