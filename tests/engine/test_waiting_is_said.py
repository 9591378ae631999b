"""Whoever looks on while a destination is not able to answer is told so, without a word of what was sent."""

import asyncio
import logging

import pytest

from reverse_etl_assets.accounts.pacing import Pacer
from reverse_etl_assets.accounts.waiting import Halted
from reverse_etl_assets.delivery.retries import Retries, RetryPolicy
from reverse_etl_assets.errors import RetryLater
from tests.engine.shop import Shop


def test_a_long_wait_is_logged_without_values(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    async def refused() -> None:
        retries = Retries(Pacer(shop.journal, "crm", None), RetryPolicy())

        async def call(last: bool) -> None:
            retries.halted.set()  # ends the wait
            raise RetryLater("ada@example.com is busy", 30.0)

        with pytest.raises(Halted):
            await retries.call(call)

    with caplog.at_level(logging.WARNING):
        asyncio.run(refused())

    assert caplog.messages == ["no answer that settles a request (RetryLater); waiting 30 s"]
