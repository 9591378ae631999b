"""One event stays small, whatever vendors write into their errors."""

from collections.abc import Iterable
from typing import ClassVar

import dagster as dg
import httpx
import pytest

from reverse_etl_assets.destinations.base import ConnectionSettings, HttpDestination, SyncOptions
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.records import Batch, Capabilities, Operation, Outcome, RowError, Target
from reverse_etl_assets.visible_text import visible
from tests.heavy import heavy
from tests.orchestration.small_project import SmallProject, stored

LIMIT = 100_000  # bytes
WORST = ("\U0001f4a5", "\x00", '"', "ß")


class Loud(HttpDestination[ConnectionSettings, SyncOptions]):
    """Refuses every row, and some of them with 100 kB of text that JSON has to escape."""

    Connection = ConnectionSettings

    @classmethod
    def capabilities_for(cls, target: Target, options: SyncOptions) -> Capabilities:
        return Capabilities(frozenset({Operation.UPSERT}), frozenset({Operation.UPSERT}), 1_000, 10_000_000)

    async def check(self) -> None:
        pass

    def build_request(self, batch: Batch) -> httpx.Request:
        return self.client.build_request("GET", "/rest/loud")

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterable[Outcome]:
        for record in batch.records:
            number = int(record.fields["number"])
            noise = WORST[number % 4] * 25_000 if number < 60 else "no"
            yield Outcome.rejected(record.key, RowError(f"{number} {noise}", None, noise))


class LoudResource(DestinationResource):
    destination_type: ClassVar[type[Loud]] = Loud


@heavy
def test_every_event_is_below_100_kb(small: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUD_URL", small.url)
    small.destinations["loud"] = LoudResource(base_url=dg.EnvVar("LOUD_URL"))
    small.build("select lpad(i::varchar, 6, '0') || repeat('é', 300) as email, i as name from range(10000) r(i)")
    to_the_end = {"in_flight": {"max_failed": 100}}
    mapping = {"key": "email", "number": "name"}
    asset = small.asset(destination="loud", mapping=mapping, sync_mode="incremental", guards=to_the_end)
    ran = small.run(asset)
    assert not ran.success
    assert ran.observed["failed"] == 10_000
    assert len(ran.observed["rows (failed first)"].records) == 20
    assert len(ran.observed["why rows did not arrive"].records) == 10
    sizes = [len(text) for text in stored(small, ran)]
    assert 25_000 < max(sizes) < LIMIT


@pytest.mark.parametrize("character", WORST)
def test_clipped_text_says_how_long_it_was(character: str) -> None:
    assert clip(None, 100) == ""
    assert clip(character, 100) == visible(character)
    cut = clip(character * 1_000, 120)
    assert cut.startswith(visible(character) * 10)
    assert len(cut) < 150
    assert f"{len(visible(character)) * 1_000:,} characters" in cut
