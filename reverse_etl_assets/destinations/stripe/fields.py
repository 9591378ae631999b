"""The fields of a customer: which there are, what is wrong with a mapping, and how values are written in a form.

Names are those of the API with dots: `metadata.plan` is `metadata[plan]`, `address.line1` is `address[line1]`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reverse_etl_assets.destinations.schema import Accepts, Field, field_problems
from reverse_etl_assets.destinations.values import plain_text, same_value
from reverse_etl_assets.records import FieldType, Record, RowError, Target

METADATA = "metadata."
METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_LENGTH = 50, 40, 500
"""Keys of an object, characters of a key (no square brackets), and of a value ("Metadata", docs.stripe.com/metadata,
read in 2026-11)."""

_OWN = ("name", "description", "business_name", "individual_name", "invoice_prefix")
_PARTS = ("shipping.name", "invoice_settings.footer")
_ADDRESS = ("city", "line1", "line2", "postal_code", "state")
_STRIPE_SETS = ("id", "object", "created", "currency", "delinquent", "discount", "livemode", "default_source")

# "Create a customer", "Update a customer" (API reference, 2026-05-27.dahlia).
_FIELDS: Mapping[str, Field] = {
    **{name: Field(name, "string") for name in (*_OWN, *_PARTS)},
    **{f"{of}.{part}": Field(f"{of}.{part}", "string") for of in ("address", "shipping.address") for part in _ADDRESS},
    "tax_exempt": Field("tax_exempt", "word", choices=("none", "exempt", "reverse")),
    **{name: Field(name, "word") for name in ("address.country", "shipping.address.country")},  # of two letters
    "invoice_settings.default_payment_method": Field("invoice_settings.default_payment_method", "word"),  # `pm_...`
    "email": Field("email", "email"),
    **{name: Field(name, "phone") for name in ("phone", "shipping.phone")},
    "preferred_locales": Field("preferred_locales", "list"),
    **{name: Field(name, "integer") for name in ("balance", "next_invoice_sequence")},
    **{name: Field(name, "string", read_only_because="Stripe sets it") for name in _STRIPE_SETS},
}
_TEXTS = frozenset({"metadata", "string"})
_ACCEPTS: Accepts = {
    **dict.fromkeys(FieldType, _TEXTS),
    FieldType.TEXT: _TEXTS | {"email", "phone", "list", "word"},
    FieldType.INTEGER: _TEXTS | {"integer", "phone"},
    FieldType.JSON: frozenset({"metadata", "list"}),
}


def metadata_key(field: str) -> str:
    """The key of a metadata field, or nothing for another field."""
    return field.removeprefix(METADATA) if field.startswith(METADATA) else ""


def nested(fields: Iterable[str]) -> bool:
    """Whether a field is a part of another one that is no metadata: an address, shipping."""
    return any("." in field and not metadata_key(field) for field in fields)


def customer_problems(target: Target) -> Iterator[str]:
    """One sentence for each thing that is wrong with the mapping of a sync to customers."""
    key = target.external_id
    if key != "id" and not metadata_key(key):
        why = "not unique" if key == "email" else "no key"
        yield (
            f"`{key}` is {why} at Stripe: match customers by a key of their metadata"
            " (`external_id: metadata.customer_id`), or by `id` with `sync_mode: update_only`."
        )
    named = {each for each in (*target.fields, key) if each.startswith(METADATA)}
    for field in sorted(named):
        name = metadata_key(field)
        if not name or len(name) > METADATA_KEY_LENGTH or re.search(r"[\[\]]", name):
            yield f"`{field}`: a metadata key has 1 to {METADATA_KEY_LENGTH} characters and no square brackets."
    if len(named) > METADATA_KEYS:
        yield f"{len(named)} metadata keys are mapped, and a customer has room for {METADATA_KEYS}."
    known = {**_FIELDS, **{field: Field(field, "metadata") for field in named}}
    yield from field_problems(target, known, _ACCEPTS)


def too_long(record: Record, key: str) -> RowError | None:
    """Why we do not even send the row: a metadata value that Stripe is known to refuse."""
    values = [*record.fields.items(), *([(key, record.external_id)] if metadata_key(key) else [])]
    for field, value in values:
        if metadata_key(field) and value is not None and (length := len(plain_text(value))) > METADATA_LENGTH:
            message = f"`{field}` has {length} characters; a metadata value has up to {METADATA_LENGTH}"
            return RowError(message, field=field)
    return None


def form(fields: Mapping[str, Any], *, clears: bool) -> list[tuple[str, str]]:
    """Names and values of a form. An empty value clears a field; where there is nothing to clear it is left out."""
    pairs: list[tuple[str, str]] = []
    for field, value in fields.items():
        name = form_name(field)
        if value is None or value == "" or value == []:
            pairs += [(name, "")] if clears else []
        elif _FIELDS.get(field, _FIELDS["name"]).type == "list":
            each = value if isinstance(value, list) else [value]
            pairs += [(f"{name}[{place}]", plain_text(item)) for place, item in enumerate(each)]
        else:
            pairs.append((name, plain_text(value)))
    return pairs


def form_name(field: str) -> str:
    """`metadata.plan` as `metadata[plan]`; a metadata key may have dots of its own."""
    if key := metadata_key(field):
        return f"metadata[{key}]"
    first, *rest = field.split(".")
    return first + "".join(f"[{part}]" for part in rest)


def held(customer: Mapping[str, Any], field: str) -> Any:
    """What a customer has in a field, None for nothing."""
    key = metadata_key(field)
    value: Any = customer
    for part in ("metadata", key) if key else field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value in ("", []) else value


def same(sent_as: FieldType, sent: Any, held: Any) -> bool:
    """Stripe keeps texts as they are; a list of one stands for the one."""
    if isinstance(held, list) and not isinstance(sent, list) and len(held) == 1:
        held = held[0]
    return same_value(sent_as, sent, held)
