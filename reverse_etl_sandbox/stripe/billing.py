"""Meters and meter events: v1 one by one, v2 in a stream that validates later and reports what it refused.

Sources: "Meters", "Meter Events" (Stripe API reference), "Meter Event Stream", "List Events" (API v2 reference),
"Record usage for billing with the API" (docs.stripe.com).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.store import Table
from reverse_etl_sandbox.stripe.requests import JSON_MEDIA, failure, form_of, missing, refuse
from reverse_etl_sandbox.wire import Answer, Call, Handler

DAY, WINDOW, SESSION_SECONDS, EVENTS = 86_400.0, 10.0, 900.0, 100
REPORT, NO_METER = "v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"
_EVENT: Mapping[str, Any] = {"event_name": 100, "payload": dict, "identifier": 100, "timestamp": int}
_METER: Mapping[str, Any] = {
    "display_name": 250,
    "event_name": 100,
    "default_aggregation": {"formula": ["sum", "count", "last"]},
    "customer_mapping": {"event_payload_key": 100, "type": ["by_id"]},
    "value_settings": {"event_payload_key": 100},
    "event_time_window": ["hour", "day"],
}
_METERS: Mapping[str, Any] = {"limit": int, "status": ["active", "inactive"], "starting_after": 100}


@dataclass(slots=True)
class Flaw:
    """Why an event is refused."""

    code: str
    message: str


@dataclass(slots=True)
class Refusal:
    at: float
    meter: str
    flaw: Flaw
    identifier: str


@dataclass(slots=True)
class Billing:
    """``customers`` says which ids there are."""

    context: Context
    customers: Table
    events: Table
    meters: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, float] = field(default_factory=dict)
    issued: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def reset(self) -> None:
        self.events.clear()
        for kept in (self.meters, self.sessions, self.refusals):
            kept.clear()
        self.add_meter("product_events")

    def add_meter(self, event_name: str, **more: Any) -> dict[str, Any]:
        now, name = int(self.context.clock()), f"mtr_test_{len(self.meters) + 1:016d}"
        meter = {
            "id": name,
            "object": "billing.meter",
            "created": now,
            "updated": now,
            "display_name": event_name,
            "event_name": event_name,
            "status": "active",
            "livemode": False,
            "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
            "value_settings": {"event_payload_key": "value"},
            "default_aggregation": {"formula": "sum"},
            "event_time_window": None,
            "status_transitions": {"deactivated_at": None},
        }
        self.meters[name] = meter | more
        return self.meters[name]

    def routes(self) -> list[tuple[str, str, Handler]]:
        one = "/v1/billing/meters/{id}"
        return [
            ("GET", "/v1/billing/meters", self._list),
            ("POST", "/v1/billing/meters", self._create),
            ("GET", one, lambda call: Answer(200, self._meter(call), media=JSON_MEDIA)),
            ("POST", f"{one}/deactivate", lambda call: self._switch(call, "inactive")),
            ("POST", f"{one}/reactivate", lambda call: self._switch(call, "active")),
            ("POST", "/v1/billing/meter_events", self._event),
            ("POST", "/v2/billing/meter_event_session", self._session),
            ("POST", "/v2/billing/meter_event_stream", self._stream),
            ("GET", "/v2/core/events", self._reports),
        ]

    def _list(self, call: Call) -> Answer:
        call.note("read", "meters")
        asked = form_of(call, _METERS)
        found = [each for each in self.meters.values() if asked.get("status") in (None, each["status"])]
        return Answer(200, {"object": "list", "url": call.path, "has_more": False, "data": found}, media=JSON_MEDIA)

    def _create(self, call: Call) -> Answer:
        given = form_of(call, _METER)
        for name in ("display_name", "event_name", "default_aggregation"):
            if not given.get(name):
                raise refuse(400, f"Missing required param: {name}.", "parameter_missing", name)
        if any(each["event_name"] == given["event_name"] for each in self.meters.values()):
            raise refuse(400, "There is a meter with this event_name already.", "", "event_name")
        return Answer(200, self.add_meter(given.pop("event_name"), **given), media=JSON_MEDIA)

    def _meter(self, call: Call) -> dict[str, Any]:
        meter = self.meters.get(call.params["id"])
        if meter is None:
            raise missing("billing meter", call.params["id"])
        return meter

    def _switch(self, call: Call, status: str) -> Answer:
        meter = self._meter(call)
        meter["status"] = status
        return Answer(200, meter, media=JSON_MEDIA)

    def _event(self, call: Call) -> Answer:
        call.note("insert", "meter_events", 1)
        given = form_of(call, _EVENT)
        for name in ("event_name", "payload"):
            if not given.get(name):
                raise refuse(400, f"Missing required param: {name}.", "parameter_missing", name)
        now = self.context.clock()
        identifier = given.get("identifier") or f"evt-{self.events.sequence}"
        at = float(given.get("timestamp", now))
        meter, flaw = self._judged(given["event_name"], given["payload"], at)
        if flaw and flaw.code != "meter_event_customer_not_found":
            raise refuse(400, flaw.message, flaw.code)
        if self._is_known(identifier):
            answer = failure(400, f"An event already exists with identifier {identifier}.")
            answer.headers["Stripe-Should-Retry"] = "false"
            return answer
        if flaw:  # customers are looked for later
            self.refusals.append(Refusal(now, meter, flaw, identifier))
        self._keep(identifier, given["event_name"], given["payload"], at)
        told = {"object": "billing.meter_event", "created": int(now), "livemode": False, "identifier": identifier}
        told |= {"event_name": given["event_name"], "payload": given["payload"], "timestamp": int(at)}
        return Answer(200, told, media=JSON_MEDIA)

    def _is_known(self, identifier: str) -> bool:
        known = self.events.get(identifier)
        return known is not None and self.context.clock() - known.created_at < DAY

    def _keep(self, identifier: str, event_name: str, payload: Mapping[str, str], at: float) -> None:
        values = {"identifier": identifier, "event_name": event_name, "timestamp": at, **payload}
        if self.events.get(identifier):  # counted twice: the first is forgotten after a day
            identifier = f"{identifier}#{self.events.sequence}"
        self.events.insert(values, self.context.clock(), record_id=identifier)

    def _judged(self, event_name: str, payload: Mapping[str, Any], at: float) -> tuple[str, Flaw | None]:
        """The meter's id, and what is wrong with an event."""
        meter = next((each for each in self.meters.values() if each["event_name"] == event_name), None)
        if meter is None:
            return "", Flaw("no_meter", f"No meter was found matching event_name {event_name}.")
        return meter["id"], next(self._flaws(meter, payload, at), None)

    def _flaws(self, meter: Mapping[str, Any], payload: Mapping[str, Any], at: float) -> Iterator[Flaw]:
        now = self.context.clock()
        if meter["status"] != "active":
            yield Flaw("archived_meter", f"The meter {meter['event_name']} is archived.")
        if at < now - 35 * DAY:
            yield Flaw("timestamp_too_far_in_past", "The timestamp is more than 35 calendar days in the past.")
        if at > now + 300:
            yield Flaw("timestamp_in_future", "The timestamp is more than 5 minutes in the future.")
        key = meter["customer_mapping"]["event_payload_key"]
        if not payload.get(key):
            yield Flaw("meter_event_no_customer_defined", f"Customer mapping key {key} not found in payload.")
        value = str(payload.get(meter["value_settings"]["event_payload_key"], ""))
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            yield Flaw("meter_event_invalid_value", f"The value {value!r} is not a number.")
        if len(re.sub(r"^-?0*|\.", "", value)) > 15:
            told = f"The value in the event payload can have at most 15 digits. Received {value}."
            yield Flaw("meter_event_value_too_many_digits", told)
        if not self.customers.get(payload.get(key, "")):
            yield Flaw("meter_event_customer_not_found", f"The customer {payload.get(key)} was not found.")

    # The stream

    def _session(self, call: Call) -> Answer:
        now = self.context.clock()
        self.issued += 1
        token = f"token_{self.issued:08d}"
        self.sessions[token] = now + SESSION_SECONDS
        told = {"id": f"mes_{self.issued}", "object": "v2.billing.meter_event_session", "livemode": False}
        told |= {"authentication_token": token, "created": _iso(now), "expires_at": _iso(now + SESSION_SECONDS)}
        return Answer(200, told, media=JSON_MEDIA)

    def admits(self, call: Call) -> Answer | None:
        """The refusal of a call to the stream without the token of a session that lasts."""
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if self.sessions.get(token, 0.0) > self.context.clock():
            return None
        told = "The temporary session token has expired."
        return failure(401, told, "billing_meter_event_session_expired", kind="temporary_session_expired")

    def _stream(self, call: Call) -> Answer:
        events = call.json().get("events")
        if not isinstance(events, list) or not 1 <= len(events) <= EVENTS:
            return failure(400, f"events: 1 to {EVENTS} events are taken in a request", "invalid_fields")
        call.note("insert", "meter_events", len(events))
        now = self.context.clock()
        for event in events:
            name, payload = str(event.get("event_name")), event.get("payload") or {}
            identifier = event.get("identifier") or f"evt-{self.events.sequence}"
            at = datetime.fromisoformat(event["timestamp"]).timestamp() if "timestamp" in event else now
            meter, flaw = self._judged(name, payload, at)
            if flaw:
                self.refusals.append(Refusal(now, meter, flaw, identifier))
            elif not self._is_known(identifier):
                self._keep(identifier, name, payload, at)
        return Answer(200, {}, media=JSON_MEDIA)

    def _reports(self, call: Call) -> Answer:
        """Reports of ten seconds each, two seconds after their end."""
        call.note("read", "events")
        asked = dict(parse_qsl(call.query))
        types = {value for name, value in asked.items() if name.startswith("types[")} or {REPORT, NO_METER}
        since = datetime.fromisoformat(asked.get("created[gte]", "1970-01-01T00:00:00Z")).timestamp()
        found = [each for each in self._all_reports() if each["type"] in types and _at(each) >= since]
        start, size = int(asked.get("page", 0)), int(asked.get("limit", 10))
        more = len(found) > start + size
        following = f"/v2/core/events?{_without_page(call.query)}&page={start + size}" if more else None
        told = {"data": found[start : start + size], "next_page_url": following, "previous_page_url": None}
        return Answer(200, told, media=JSON_MEDIA)

    def _all_reports(self) -> Iterator[dict[str, Any]]:
        windows: dict[tuple[float, str], list[Refusal]] = {}
        for each in self.refusals:
            windows.setdefault((math.floor(each.at / WINDOW) * WINDOW, each.meter), []).append(each)
        for number, ((start, meter), refused) in enumerate(windows.items()):
            created = start + WINDOW + 2
            if created <= self.context.clock():
                related = {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"} if meter else {}
                yield {
                    "id": f"evt_test_{number:016d}",
                    "object": "v2.core.event",
                    "created": _iso(created),
                    "type": REPORT if meter else NO_METER,
                    "livemode": False,
                    "reason": None,
                    "context": None,
                    "related_object": related,
                    "data": self._told(start, refused),
                }

    def _told(self, start: float, refused: list[Refusal]) -> dict[str, Any]:
        most = self.context.settings.stripe_report_samples
        kinds = []
        for code in dict.fromkeys(each.flaw.code for each in refused):
            those = [each for each in refused if each.flaw.code == code]
            samples = [
                {"error_message": each.flaw.message, "request": {"identifier": each.identifier}}
                for each in those[:most]
            ]
            kinds.append({"code": code, "error_count": len(those), "sample_errors": samples})
        summary = f"There are {len(refused)} invalid events"
        return {
            "developer_message_summary": summary,
            "reason": {"error_count": len(refused), "error_types": kinds},
            "validation_start": _iso(start),
            "validation_end": _iso(start + WINDOW),
        }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _at(report: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(report["created"]).timestamp()


def _without_page(query: str) -> str:
    return "&".join(part for part in query.split("&") if not part.startswith("page="))
