"""Looks customers up, by a key of their metadata or by id, and reads what Stripe lists."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from reverse_etl_assets.destinations.stripe import fields as stripe_fields
from reverse_etl_assets.destinations.stripe.answers import MISSING
from reverse_etl_assets.errors import RequestRejected, RetryLater
from reverse_etl_assets.records import Current, Target

CLAUSES, QUERY_LENGTH = 10, 5_000
"""Clauses of a search, and characters of its query ("Search", docs.stripe.com; "Search customers", API reference)."""

Get = Callable[[str, Mapping[str, str]], Awaitable[Any]]


class StripeReading:
    """Of one target. `get` asks for a path with parameters, and gives the answer's JSON."""

    def __init__(self, get: Get, target: Target) -> None:
        self._get, self._target = get, target
        self._key = stripe_fields.metadata_key(target.external_id)

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Ids by the key in the metadata, for the keys that are spelt the same: search ignores their case."""
        if self._target.external_id == "id":
            return {each: [each] for each in external_ids}
        found: dict[str, list[str]] = {each: [] for each in external_ids}
        for query in queries(self._key, external_ids):
            async for customer in self.pages("/v1/customers/search", {"query": query, "limit": "100"}):
                if (ids := found.get(str(self.key_of(customer)))) is not None and customer["id"] not in ids:
                    ids.append(customer["id"])
        return found

    def key_of(self, customer: Mapping[str, Any]) -> Any:
        return (customer.get("metadata") or {}).get(self._key)

    async def held(self, customer_id: str) -> list[Current]:
        """The customer of an id, or nobody."""
        try:
            customer = await self._get(f"/v1/customers/{quote(customer_id, safe='')}", {})
        except RequestRejected as error:
            if error.code == MISSING:
                return []
            raise
        if not isinstance(customer, dict) or customer.get("id") != customer_id:
            raise RetryLater("the answer is not the customer that was asked for")
        if customer.get("deleted"):
            return []
        return [Current(customer_id, {field: stripe_fields.held(customer, field) for field in self._target.fields})]

    async def pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """The entries of all pages: of a list, of a search, or of a list of v2."""
        while True:
            answer = await self._get(path, params)
            if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
                raise RetryLater("the answer is no list")  # which says nothing of who is there
            for each in answer["data"]:
                yield each
            if following := answer.get("next_page_url"):
                path, params = following, {}
            elif answer.get("has_more") and answer["data"]:
                page = answer.get("next_page")
                params = {**params, **({"page": page} if page else {"starting_after": answer["data"][-1]["id"]})}
            else:
                return


def queries(metadata_key: str, values: Sequence[str]) -> Iterator[str]:
    """One query for all values, or more if they are too long for one."""
    name, query = quoted(metadata_key), ""
    for each in values:
        clause = f"metadata[{name}]:{quoted(each)}"
        if query and len(query) + len(clause) + 4 > QUERY_LENGTH:
            yield query
            query = ""
        query = f"{query} OR {clause}" if query else clause
    yield query


def quoted(text: str) -> str:
    """A text in a search query ("Search query language": a quote inside quotes is escaped with a backslash)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
