"""The HubSpot objects of the sandbox. Add a property by adding a line, or over ``POST /crm/v3/properties/{object}``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

TYPES = ("string", "number", "date", "datetime", "enumeration", "bool", "phone_number")
FIELD_TYPES = {
    "string": ("text", "textarea", "html", "file", "phonenumber"),
    "number": ("number",),
    "date": ("date",),
    "datetime": ("date",),
    "enumeration": ("select", "radio", "checkbox"),
    "bool": ("booleancheckbox",),
    "phone_number": ("phonenumber",),
}


@dataclass(frozen=True, slots=True)
class Property:
    """One property. ``format`` narrows text: ``email``, or ``emails`` with ``;`` between them."""

    name: str
    type: str = "string"
    field_type: str = "text"
    label: str = ""
    group: str = ""
    options: tuple[str, ...] = ()
    unique: bool = False
    read_only: bool = False
    calculated: bool = False
    format: str = ""
    custom: bool = False
    description: str = ""

    def as_json(self, now: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "label": self.label or self.name.replace("_", " ").capitalize(),
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [
                {"label": option, "value": option, "displayOrder": place, "hidden": False}
                for place, option in enumerate(self.options)
            ],
            "displayOrder": -1,
            "hasUniqueValue": self.unique,
            "hidden": False,
            "calculated": self.calculated,
            "externalOptions": False,
            "formField": not self.read_only,
            "hubspotDefined": not self.custom,
            "archived": False,
            "createdAt": now,
            "updatedAt": now,
            "modificationMetadata": {
                "archivable": self.custom,
                "readOnlyDefinition": not self.custom,
                "readOnlyOptions": not self.custom,
                "readOnlyValue": self.read_only,
            },
        }


@dataclass(slots=True)
class ObjectType:
    """One object. ``required`` holds groups of which a new record needs at least one property each."""

    name: str
    type_id: str
    label: str
    properties: dict[str, Property]
    required: tuple[tuple[str, ...], ...] = ()
    # The id properties that upsert accepts besides custom unique ones.
    id_properties: tuple[str, ...] = ()
    created: str = "hs_createdate"
    modified: str = "hs_lastmodifieddate"
    aliases: tuple[str, ...] = field(default=())

    def key_properties(self) -> dict[str, bool]:
        """Indexed properties; their values are compared without case."""
        return dict.fromkeys(
            (name for name, part in self.properties.items() if part.unique or name in self.id_properties), False
        )


def text(name: str, **more: Any) -> Property:
    return Property(name, **more)


def number(name: str, **more: Any) -> Property:
    return Property(name, "number", "number", **more)


def date(name: str) -> Property:
    return Property(name, "date", "date")


def moment(name: str, **more: Any) -> Property:
    return Property(name, "datetime", "date", **more)


def choice(name: str, *options: str) -> Property:
    return Property(name, "enumeration", "select", options=options)


def several(name: str, *options: str) -> Property:
    return Property(name, "enumeration", "checkbox", options=options)


def flag(name: str) -> Property:
    return Property(name, "bool", "booleancheckbox", options=("true", "false"))


def key(name: str = "external_id") -> Property:
    return Property(name, unique=True)


# In this order a record moves on; a step back is ignored.
LIFECYCLE = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)
SEGMENTS = ("champion", "loyal", "new", "at_risk", "lapsed", "high_value_at_risk", "dormant", "regular")

_STANDARD: dict[str, tuple[Property, ...]] = {
    "contacts": (
        Property("email", format="email"),
        Property("hs_additional_emails", format="emails"),
        text("firstname"),
        text("lastname"),
        Property("phone", "string", "phonenumber"),
        Property("mobilephone", "string", "phonenumber"),
        text("company"),
        text("jobtitle"),
        text("website"),
        text("address"),
        text("city"),
        text("state"),
        text("zip"),
        text("country"),
        choice("lifecyclestage", *LIFECYCLE),
        choice("hs_lead_status", "NEW", "OPEN", "IN_PROGRESS", "UNQUALIFIED", "CONNECTED"),
        number("num_associated_deals", read_only=True, calculated=True),
    ),
    "companies": (
        text("name"),
        text("domain"),
        text("website"),
        Property("phone", "string", "phonenumber"),
        text("city"),
        text("state"),
        text("country"),
        text("description"),
        choice("industry", "COMPUTER_SOFTWARE", "RETAIL", "FINANCIAL_SERVICES", "HOSPITAL_HEALTH_CARE"),
        choice("type", "PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER"),
        choice("lifecyclestage", *LIFECYCLE),
        number("annualrevenue"),
        number("numberofemployees"),
        number("hs_num_open_deals", read_only=True, calculated=True),
    ),
    "deals": (
        text("dealname"),
        choice(
            "dealstage",
            "appointmentscheduled",
            "qualifiedtobuy",
            "presentationscheduled",
            "contractsent",
            "closedwon",
            "closedlost",
        ),
        choice("pipeline", "default"),
        number("amount"),
        moment("closedate"),
        text("description"),
        number("hs_projected_amount", read_only=True, calculated=True),
    ),
    "tickets": (
        text("subject"),
        text("content"),
        choice("hs_pipeline", "0"),
        choice("hs_pipeline_stage", "1", "2", "3", "4"),
        choice("hs_ticket_priority", "LOW", "MEDIUM", "HIGH", "URGENT"),
        number("time_to_close", read_only=True, calculated=True),
    ),
    "product_usage": (
        text("account_external_id"),
        text("product"),
        number("active_users"),
        number("events_30d"),
        number("adoption_score"),
        date("usage_date"),
        moment("last_event_at"),
    ),
}

_CUSTOM: dict[str, tuple[Property, ...]] = {
    "contacts": (
        key(),
        choice("lead_grade", "hot", "warm", "cold"),
        number("lead_score"),
        text("top_reason"),
        choice("segment", *SEGMENTS),
        number("lifetime_value"),
        number("average_order_value"),
        number("churn_risk"),
        number("orders_count"),
        number("page_views"),
        number("trial_days_left"),
        date("first_order_date"),
        date("last_order_date"),
        moment("trial_ends_at"),
        moment("last_seen_at"),
        flag("marketing_opt_in"),
        several("interests", "coffee", "tea", "equipment", "subscriptions"),
        text("favourite_product"),
    ),
    "companies": (
        key(),
        choice("segment", "enterprise", "mid_market", "small_business"),
        number("lifetime_value"),
        number("health_score"),
        number("arr"),
        number("mrr"),
        number("active_users"),
        number("seats"),
        number("open_tickets"),
        text("plan"),
        date("renewal_date"),
        moment("last_active_at"),
        flag("is_customer"),
    ),
    "deals": (key(), number("expansion_potential"), number("product_usage_score"), flag("is_expansion")),
    "tickets": (key(), number("account_value"), text("account_plan")),
    "product_usage": (key(),),
}

_KINDS = (
    ("contacts", "0-1", "CONTACT", ("contact",)),
    ("companies", "0-2", "COMPANY", ("company",)),
    ("deals", "0-3", "DEAL", ("deal",)),
    ("tickets", "0-5", "TICKET", ("ticket",)),
    ("product_usage", "2-1001", "product_usage", ("p4242424_product_usage",)),
)
_REQUIRED = {
    "companies": (("domain", "name"),),
    "deals": (("dealname",), ("dealstage",)),
    "tickets": (("subject",), ("hs_pipeline_stage",)),
}


def objects() -> dict[str, ObjectType]:
    """A fresh copy of the schema; properties added over the API change only the copy."""
    return {name: _object(name, type_id, label, aliases) for name, type_id, label, aliases in _KINDS}


def _object(name: str, type_id: str, label: str, aliases: tuple[str, ...]) -> ObjectType:
    created, modified = ("createdate", "lastmodifieddate") if name == "contacts" else ("", "")
    created, modified = created or "hs_createdate", modified or "hs_lastmodifieddate"
    if name in ("companies", "deals", "tickets"):
        created = "createdate"
    group = f"{label.lower()}information"
    system = (
        number("hs_object_id", read_only=True, calculated=True),
        moment(created, read_only=True),
        moment(modified, read_only=True),
    )
    every = [
        *(replace(part, group=group) for part in (*system, *_STANDARD[name])),
        *(replace(part, group=group, custom=True) for part in _CUSTOM[name]),
    ]
    return ObjectType(
        name,
        type_id,
        label,
        {part.name: part for part in every},
        _REQUIRED.get(name, ()),
        ("email",) if name == "contacts" else (),
        created,
        modified,
        aliases,
    )
