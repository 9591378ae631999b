"""Whether a sync's object, fields and options make an audience. All pure."""

from collections.abc import Iterator, Mapping

from reverse_etl_assets.destinations.google_ads.options import GoogleAdsOptions
from reverse_etl_assets.destinations.google_ads.people import ADDRESS, CONSENT, is_identifier
from reverse_etl_assets.destinations.schema import nearest, sends
from reverse_etl_assets.records import FieldType, Target

_FIELDS = ("email", "phone", *ADDRESS, *CONSENT)
_TYPES: Mapping[str, tuple[FieldType, ...]] = {
    **dict.fromkeys(CONSENT, (FieldType.BOOLEAN, FieldType.TEXT)),
    "phone": (FieldType.TEXT, FieldType.INTEGER),
    "postal_code": (FieldType.TEXT, FieldType.INTEGER),
}


def problems(target: Target, options: GoogleAdsOptions) -> list[str]:
    """What can be said without the columns' types."""
    return [*_object_problems(target), *_field_problems(target, options)]


def _object_problems(target: Target) -> Iterator[str]:
    if not target.object.isdecimal():
        yield f"`object: {target.object}` is no audience: write the id of its user list, digits alone, in quotes."


def _field_problems(target: Target, options: GoogleAdsOptions) -> Iterator[str]:
    identifiers = [name for name in target.fields if is_identifier(name)]
    for name in target.fields:
        if name not in identifiers and name not in CONSENT:
            yield (
                f"An audience has no field `{name}`{nearest(name, _FIELDS)}. Further addresses and numbers are"
                " `email_2`, `phone_2`."
            )
    address = [name for name in ADDRESS if name in target.fields]
    if not identifiers:
        yield "The mapping has nothing that Google knows people by: map `email`, `phone` or an address."
    if address and len(address) < len(ADDRESS):
        missing = ", ".join(f"`{name}`" for name in ADDRESS if name not in address)
        yield f"An address counts only if it is whole: map {missing} as well."
    for name in CONSENT:
        if name in target.fields and getattr(options, name):
            yield f"`{name}` is mapped, so it cannot be an option too: an empty value would become consent."


def type_problems(target: Target) -> Iterator[str]:
    for name, sent in target.fields.items():
        able = _TYPES.get(name.split("_")[0] if name.startswith("phone") else name, (FieldType.TEXT,))
        if sent not in able:
            kinds = " or ".join(each.value for each in able)
            mend = f"cast the column to {able[0].value}"
            yield f"Field `{name}` takes {kinds}, and {sends(target, name, sent)}: {mend}."
