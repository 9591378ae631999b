"""Usage for billing: meter events, one a request (v1) or up to 100 in the stream (v2).

"Record usage for billing with the API" (docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api, read as
of 2026-05) and the API reference of meter events.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from reverse_etl_assets.destinations.schema import nearest
from reverse_etl_assets.destinations.stripe.fields import form_name
from reverse_etl_assets.destinations.values import plain_text
from reverse_etl_assets.records import Record, RowError, Target

PAYLOAD = "payload."
IDENTIFIER = "identifier"
OLDEST, NEWEST = timedelta(days=35), timedelta(minutes=5)
"""How far back and ahead the time of an event may lie ("Event timestamps")."""
LONGEST = 100
"""Characters of an identifier and of a value of the payload ("Create a billing meter event", API reference)."""


def mapping_problems(target: Target, meter: str) -> Iterator[str]:
    """What is wrong with a mapping to meter events, whatever the meter."""
    if not meter:
        yield "Name the meter below `options`: `meter: <its event_name>`."
    if target.external_id != IDENTIFIER:
        yield f"`{target.external_id}` names no event: write `external_id: {IDENTIFIER}`, which Stripe keeps unique."
    for field in target.fields:
        if field not in ("timestamp", IDENTIFIER) and not field.startswith(PAYLOAD):
            known = ["timestamp", f"{PAYLOAD}stripe_customer_id", f"{PAYLOAD}value"]
            yield f"A meter event has no field `{field}`{nearest(field, known)}. It has `timestamp` and `{PAYLOAD}...`."


def meter_problems(target: Target, meter: str, meters: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong between the mapping and the account's meters."""
    found = next((each for each in meters if each.get("event_name") == meter), None)
    if found is None:
        names = [str(each.get("event_name")) for each in meters]
        yield f"There is no meter with the event_name `{meter}`{nearest(meter, names)}."
        return
    if found.get("status") != "active":
        yield f"The meter `{meter}` is {found.get('status')}: no event is taken for it. Reactivate it in Stripe."
    needed = [(found.get("customer_mapping"), "the customer, by Stripe's id (`cus_...`)")]
    if (found.get("default_aggregation") or {}).get("formula") != "count":
        needed.append((found.get("value_settings"), "how much was used"))
    for settings, what in needed:
        name = f"{PAYLOAD}{(settings or {}).get('event_payload_key')}"
        if name not in target.fields:
            yield f"The meter `{meter}` reads {what} from `{name}`: map a column to it."


def not_taken(record: Record, now: datetime) -> RowError | None:
    """Why we do not even send the event: what Stripe is known to refuse, in the stream without a word."""
    if len(record.external_id) > LONGEST:
        return RowError(f"its identifier has {len(record.external_id)} characters, and may have {LONGEST}")
    for field, value in record.fields.items():
        if field.startswith(PAYLOAD) and (value is None or value == ""):
            return RowError(f"`{field}` is empty", field=field)
        if field.startswith(PAYLOAD) and len(plain_text(value)) > LONGEST:
            return RowError(f"`{field}` has more than {LONGEST} characters", field=field)
    try:
        at = moment(record.fields.get("timestamp"))
    except (ValueError, OverflowError):
        return RowError("`timestamp` is no time", field="timestamp")
    if at and not now - OLDEST <= at <= now + NEWEST:
        message = (
            f"`timestamp` is {at:%Y-%m-%d %H:%M} UTC: Stripe takes events of the last 35 days, up to 5 minutes ahead"
        )
        return RowError(message, field="timestamp")
    return None


def moment(value: Any) -> datetime | None:
    """A time as the model has it: ISO 8601, a date, or seconds since 1970."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return datetime.fromtimestamp(int(value), UTC)
    at = datetime.fromisoformat(value)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def event(record: Record, meter: str) -> dict[str, Any]:
    """A meter event; its time is a `datetime`, which v1 and v2 write differently."""
    payload = {
        field.removeprefix(PAYLOAD): plain_text(value)
        for field, value in record.fields.items()
        if field.startswith(PAYLOAD)
    }
    at = moment(record.fields.get("timestamp"))
    return {"event_name": meter, "identifier": record.external_id, "payload": payload} | (
        {"timestamp": at} if at else {}
    )


def v1_form(record: Record, meter: str) -> list[tuple[str, str]]:
    made = event(record, meter)
    pairs = [("event_name", meter), (IDENTIFIER, record.external_id)]
    pairs += [(form_name(f"{PAYLOAD}{name}"), value) for name, value in made["payload"].items()]
    return [*pairs, ("timestamp", str(int(made["timestamp"].timestamp())))] if "timestamp" in made else pairs


def v2_event(record: Record, meter: str) -> dict[str, Any]:
    made = event(record, meter)
    if "timestamp" in made:
        made["timestamp"] = made["timestamp"].replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return made
