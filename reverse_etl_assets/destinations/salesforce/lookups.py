"""Finding records with SOQL, by the external id or by their Ids."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from reverse_etl_assets.destinations.salesforce.answers import of_the_target
from reverse_etl_assets.destinations.salesforce.api import Api
from reverse_etl_assets.destinations.salesforce.soql import comparable, queries, same_id
from reverse_etl_assets.destinations.values import plain_text
from reverse_etl_assets.errors import RequestRejected, RetryLater
from reverse_etl_assets.records import Target

LONGEST_URL = 16_000
"""Bytes; Salesforce refuses a URL beyond 16,384 ("SOQL and SOSL Limits", Developer Limits Quick Reference)."""

Row = dict[str, Any]


class LookUps:
    def __init__(self, api: Api, target: Target, *, case_sensitive: bool) -> None:
        self._api, self.target, self._case_sensitive = api, target, case_sensitive

    def fold(self, key: str) -> str:
        """Equal for two keys that Salesforce takes for one."""
        return comparable(self.target, key, case_sensitive=self._case_sensitive)

    async def by_key(self, external_ids: Sequence[str], columns: Sequence[str] = ()) -> dict[str, list[Row]]:
        """The rows that carry each external id. One request, or more if the keys are too long for one URL."""
        found: dict[str, list[Row]] = {each: [] for each in external_ids}
        asked = {self.fold(each): each for each in external_ids}
        for soql in queries(self.target, external_ids, self._room, columns):
            async for row in self._rows(soql):
                if each := asked.get(self.fold(plain_text(row[self.target.external_id]))):
                    found[each].append(row)
        return found

    async def by_id(self, ids: Sequence[str], columns: Sequence[str]) -> AsyncIterator[tuple[str, Row]]:
        """Of those that are there, the id as it was asked for and the row."""
        asked = {same_id(each): each for each in ids}
        for soql in queries(self.target, ids, self._room, columns, key="Id"):
            async for row in self._rows(soql):
                yield asked[same_id(row["Id"])], row

    @property
    def _room(self) -> int:
        """Bytes of a query in a URL."""
        return LONGEST_URL - len(f"{self._api.address}/query?q=")

    async def _rows(self, soql: str) -> AsyncIterator[Row]:
        """The rows of all pages of a query's answer."""
        try:
            answer = await self._api.get("/query", q=soql)
        except RequestRejected as error:
            raise of_the_target(error) from error
        while True:
            if not isinstance(answer, dict) or "records" not in answer:
                raise RetryLater("the answer to a query has no records")  # which says nothing of who is there
            for row in answer["records"]:
                yield row
            if answer["done"]:
                return
            answer = await self._api.get(f"/query/{answer['nextRecordsUrl'].partition('/query/')[2]}")
