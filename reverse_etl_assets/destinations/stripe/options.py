"""A Stripe account, and what a sync to it can be told."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.wording import Written

OLDEST = "2024-09-30.acacia"
"""The first with the event stream, and with names ("API versions", docs.stripe.com, read 2026-11-30). Stripe takes
older ones for good, with answers of another shape."""
_KEY = re.compile(r"[sr]k_(live|test)_\w+", re.ASCII)
_KINDS = {
    "pk_": "a publishable key, which is for web pages",
    "whsec_": "the secret of a webhook endpoint",
    "acct_": "an account's id",
}


class StripeConnection(ConnectionSettings):
    """A Stripe account, live or test; a restricted key signs in, and says which."""

    base_url: str = "https://api.stripe.com"
    meter_events_url: str = "https://meter-events.stripe.com"
    """Where the meter event stream is, and nothing else."""
    secret_key: SecretStr
    """A restricted key (`rk_live_...`) with write access to customers, or to meter events, or a secret key."""
    mode: Literal["live", "test"] | None = None
    """Refuse a key of the other mode."""
    stripe_account: Annotated[str, Written(r"acct_\w+", "the id of an account, such as `acct_1AbC`")] | None = None
    """For a Connect platform: the connected account (`acct_...`) that is written to."""
    api_version: Annotated[
        str,
        Written(r"20\d\d-\d\d-\d\d(\.\w+)?", "a version by date and name, such as `2026-05-27.dahlia`"),
    ] = "2026-05-27.dahlia"
    """The version of the API, which decides the shape of answers; 2024-09-30.acacia or later."""

    @property
    def key_mode(self) -> str:
        """`live` or `test`, by the key's beginning."""
        match = _KEY.fullmatch(self.secret_key.get_secret_value())
        return match[1] if match else ""

    @model_validator(mode="after")
    def _has_a_key_of_the_mode(self) -> "StripeConnection":
        if not self.key_mode:
            key = self.secret_key.get_secret_value()
            kind = next((kind for start, kind in _KINDS.items() if key.startswith(start)), "something else")
            raise ValueError(
                "secret_key begins with rk_live_, sk_live_, rk_test_ or sk_test_, has nothing around it, and this one"
                f" looks like {kind}. Make a restricted key in Stripe (Developers, API keys)."
            )
        if self.mode not in (None, self.key_mode):
            raise ValueError(f"secret_key is of {self.key_mode} mode, and `mode` says {self.mode}.")
        return self


class StripeOptions(SyncOptions):
    """What a sync says of Stripe."""

    delete: bool = False
    """A customer that leaves the model is deleted, for good, and with it every subscription is cancelled."""
    meter: str = Field("", max_length=100)
    """For meter events: the `event_name` of the meter."""
    report_wait: float = Field(60, ge=0, le=3600)
    """For the meter event stream: seconds after which no report of refused events is expected any more."""


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="docs.stripe.com, Stripe versioning and support policy",
    version=StripeConnection.model_fields["api_version"].default,
)
