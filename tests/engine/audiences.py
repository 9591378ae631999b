"""Meta audiences for runs of the engine: small batches, and processes that die at a moment of their choice."""

import os
import signal
from typing import Any

from pydantic import SecretStr

from reverse_etl_assets.destinations.base import Account, Part
from reverse_etl_assets.destinations.meta_ads import MetaAds, MetaAdsConnection, MetaAdsOptions
from reverse_etl_assets.records import Batch, Capabilities, Target
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.meta_ads import CUSTOMERS, REPLACED
from tests.engine.shop import FAST, sink_sync
from tests.limited import limited


class SmallParts(MetaAds):
    """Four rows a part, and no patience."""

    @classmethod
    def capabilities_for(cls, target: Target, options: MetaAdsOptions) -> Capabilities:
        return limited(MetaAds, jobs={"max_rows": 4, "timeout": 0.0}).capabilities_for(target, options)


class Mortal(SmallParts):
    """Dies by kill -9 with the part of this number, once Meta has it or before."""

    part = 0
    too_late = False

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        if part.number != self.part or self.too_late:
            await super().upload(job_id, batch, part)
        if part.number == self.part:
            os.kill(os.getpid(), signal.SIGKILL)


def meta(url: str, *, dies_with: int = 0, too_late: bool = False, **settings: Any) -> Account:
    connection = MetaAdsConnection(
        base_url=f"{url}/meta", access_token=SecretStr("EAAsandbox"), **{"requests_per_second": FAST, **settings}
    )
    kind = type("Dying", (Mortal,), {"part": dies_with, "too_late": too_late}) if dies_with else SmallParts
    return Account("meta", kind, connection)


def audience_sync(**changes: Any) -> Sync:
    """A sync of the model `people` to an audience."""
    spec: dict[str, Any] = {
        "sync": "people_to_meta",
        "destination": "meta",
        "object": CUSTOMERS,
        "primary_key": "email",
        "mapping": {"EMAIL": "email", "FN": "name", "COUNTRY": "country"},
        "sync_mode": "mirror",
        "options": {},
        "guards": {"max_removed": {}, "row_count": {"percent": None, "deviations": None}},
    }
    return sink_sync(**{**spec, **changes})


def replacing_sync(**changes: Any) -> Sync:
    """The same, but each run replaces everybody."""
    return audience_sync(object=REPLACED, sync_mode="full_refresh", options={"replace": True}, **changes)
