"""HubSpot search and list. The search index may lag behind writes (``hubspot_search_lag_seconds``).

Source: HubSpot CRM search guide (operators, page size, limit of 10,000 results).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.hubspot.records import Records, shown
from reverse_etl_sandbox.hubspot.requests import body_object, failure, object_of
from reverse_etl_sandbox.hubspot.schema import ObjectType
from reverse_etl_sandbox.store import Entry
from reverse_etl_sandbox.wire import Answer, Call, Refused

MOST_PER_PAGE = 200
MOST_RESULTS = 10_000
MOST_LISTED = 100
Values = dict[str, Any]


class Search:
    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records

    def search(self, call: Call) -> Answer:
        kind = object_of(self._records, call)
        call.note("search", kind.name)
        body = body_object(call)
        limit, after = _page(body.get("limit", 10), body.get("after") or 0, MOST_PER_PAGE)
        if limit + after > MOST_RESULTS:
            raise Refused(failure(400, f"Search answers at most {MOST_RESULTS} results"))
        groups = [_group(kind, group) for group in body.get("filterGroups") or []]
        found = []
        for entry in self._records.tables[kind.name].live():
            values = self._indexed(kind, entry)
            if values is not None and (not groups or any(all(test(values) for test in group) for group in groups)):
                found.append((entry, values))
        for sort in reversed(body.get("sorts") or []):
            name = sort["propertyName"] if isinstance(sort, dict) else str(sort)
            down = isinstance(sort, dict) and sort.get("direction") == "DESCENDING"
            found.sort(key=lambda pair, name=name: str(pair[1].get(name) or ""), reverse=down)
        wanted = body.get("properties") or ()
        results = [shown(kind, entry, wanted, values) for entry, values in found[after : after + limit]]
        answer: dict[str, Any] = {"total": len(found), "results": results}
        if after + limit < len(found):
            answer["paging"] = {"next": {"after": str(after + limit)}}
        return Answer(200, answer)

    def list(self, call: Call) -> Answer:
        kind = object_of(self._records, call)
        call.note("read", kind.name)
        args = call.args()
        limit, after = _page(args.get("limit", "10"), args.get("after") or 0, MOST_LISTED)
        archived = args.get("archived", "").lower() == "true"
        every = [e for e in list(self._records.tables[kind.name].entries.values()) if e.archived == archived]
        wanted = args["properties"].split(",") if args.get("properties") else ()
        results = [shown(kind, entry, wanted) for entry in every[after : after + limit]]
        answer: dict[str, Any] = {"results": results}
        if after + limit < len(every):
            answer["paging"] = {"next": {"after": str(after + limit), "link": ""}}
        return Answer(200, answer)

    def _indexed(self, kind: ObjectType, entry: Entry) -> Values | None:
        """The values that the search index holds; None if it does not know the record yet."""
        seen_until = self._context.clock() - self._context.settings.hubspot_search_lag_seconds
        if entry.created_at > seen_until:
            return None
        values = entry.values
        if entry.updated_at > seen_until and entry.previous is not None:
            values = entry.previous
        return {**values, "hs_object_id": entry.id}


def _page(limit: Any, after: Any, most: int) -> tuple[int, int]:
    try:
        wanted, start = int(limit), int(after)
    except (TypeError, ValueError):
        raise Refused(failure(400, "limit and after must be whole numbers")) from None
    if not 0 < wanted <= most or start < 0:
        raise Refused(failure(400, f"limit must be between 1 and {most}"))
    return wanted, start


def _group(kind: ObjectType, group: dict[str, Any]) -> list[Callable[[Values], bool]]:
    return [_test(kind, one) for one in group.get("filters") or []]


def _test(kind: ObjectType, one: dict[str, Any]) -> Callable[[Values], bool]:
    name, operator = str(one.get("propertyName")), str(one.get("operator"))
    part = kind.properties.get(name)
    if part is None:
        raise Refused(failure(400, f'There was a problem with the request: property "{name}" does not exist'))
    numeric = part.type == "number"

    def fold(value: Any) -> Any:
        if value is None or value == "":
            return None
        return float(value) if numeric else str(value).casefold()

    try:
        low, high = fold(one.get("value")), fold(one.get("highValue"))
        listed = {fold(value) for value in one.get("values") or ()}
    except ValueError:
        raise Refused(failure(400, f'"{name}" is a number; the filter value is not')) from None
    compare: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda held: held == low,
        "NEQ": lambda held: held != low,
        "LT": lambda held: held is not None and held < low,
        "LTE": lambda held: held is not None and held <= low,
        "GT": lambda held: held is not None and held > low,
        "GTE": lambda held: held is not None and held >= low,
        "BETWEEN": lambda held: held is not None and low <= held <= high,
        "IN": lambda held: held in listed,
        "NOT_IN": lambda held: held not in listed,
        "HAS_PROPERTY": lambda held: held is not None,
        "NOT_HAS_PROPERTY": lambda held: held is None,
        "CONTAINS_TOKEN": lambda held: held is not None and str(low).strip("*") in str(held),
        "NOT_CONTAINS_TOKEN": lambda held: held is None or str(low).strip("*") not in str(held),
    }
    test = compare.get(operator)
    if test is None:
        raise Refused(failure(400, f"operator must be one of {', '.join(compare)}"))
    needs = {"IN": listed, "NOT_IN": listed, "HAS_PROPERTY": True, "NOT_HAS_PROPERTY": True}
    if not needs.get(operator, low is not None) or (operator == "BETWEEN" and high is None):
        raise Refused(failure(400, f"The filter on {name} lacks the value that {operator} needs"))
    return lambda values: test(fold(values.get(name)))
