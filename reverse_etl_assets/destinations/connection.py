"""The settings of an account: where it is, how much of it may be used; and of a sync for its destination."""

import httpx
from pydantic import BaseModel, ConfigDict, Field

from reverse_etl_assets.accounts.answer_bounds import LARGEST, LONGEST, Bounds
from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.errors import ConfigurationError

_PORTS = range(1, 65_536)


class ConnectionSettings(BaseModel):
    """An account of a destination: where it is and how to sign in. Secrets are `SecretStr`."""

    # A misspelt secret must not be printed by the error that says so.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    base_url: str
    requests_per_second: float | None = None
    """Your account's limit, if it differs from the vendor's usual one."""
    concurrency: int | None = None
    """Requests in flight at once, if it should differ from the destination's usual number."""
    largest_answer: int = Field(default=LARGEST, ge=1)
    """Bytes of an answer's body, decompressed, that are read at most. A write whose answer is larger is in doubt."""
    longest_exchange: float = Field(default=LONGEST, gt=0)
    """Seconds that a request and its answer may take together. A write that takes longer is in doubt."""
    budget: Budget = Budget()
    """What all syncs together may use of it in a day."""

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.largest_answer, self.longest_exchange)


class SyncOptions(BaseModel):
    """A sync's settings for its destination (`options:` in the YAML)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def reachable(address: httpx.URL | str, setting: str = "base_url") -> httpx.URL:
    """The address. Raises ConfigurationError if no server can be there: then no row is at fault, and none is sent."""
    right = f"`{setting}` has to be like `https://host` or `https://host:8443`, with a port from 1 to 65535"
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{right}: {error}.") from error
    if url.scheme not in ("http", "https") or not url.host or not (url.port is None or url.port in _PORTS):
        raise ConfigurationError(f"{right}; host `{url.host}`, port {url.port} of `{url.scheme}` is none.")
    return url
