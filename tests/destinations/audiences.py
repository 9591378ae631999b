"""An open Google Ads audience in the sandbox, and people to put there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from reverse_etl_assets.destinations.base import JobState
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.google_ads.options import GoogleAdsConnection
from reverse_etl_assets.records import Batch, FieldType, Operation, Outcome, Target
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

UPSERT, DELETE, TEXT = Operation.UPSERT, Operation.DELETE, FieldType.TEXT
AUDIENCE = target("1001", "id", UPSERT, DELETE, email=TEXT)
GRANTED = {"terms_of_service": "accepted", "ad_user_data": "granted", "ad_personalization": "granted"}


@asynccontextmanager
async def opened(
    sandbox: Sandbox,
    to: Target = AUDIENCE,
    connection: GoogleAdsConnection | None = None,
    options: Mapping[str, Any] = GRANTED,
) -> AsyncIterator[GoogleAds]:
    async with httpx.AsyncClient(timeout=5) as client:
        settings = connection or accounts.google_ads(sandbox.url)
        yield GoogleAds(settings, to, GoogleAds.Options.model_validate(options), client)


def with_ads(work: Callable[[GoogleAds], Awaitable[Any]], sandbox: Sandbox, *more: Any, **others: Any) -> Any:
    async def run() -> Any:
        async with opened(sandbox, *more, **others) as ads:
            return await work(ads)

    return asyncio.run(run())


def people(*names: str) -> Batch:
    return batch(UPSERT, *(record(name, email=f"{name}@example.com") for name in names))


async def finished(ads: GoogleAds, sent: Batch) -> dict[str, Outcome]:
    """One job to its end."""
    job = await ads.open_job(sent)
    while await ads.poll(job) is JobState.RUNNING:
        pass
    return {outcome.key: outcome for outcome in await ads.collect(job, sent)}


def members(sandbox: Sandbox) -> int:
    return len(sandbox.google_ads.tables["1001"].live())
