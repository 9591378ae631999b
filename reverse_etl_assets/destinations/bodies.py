"""JSON in requests and answers, exact: decimals keep every digit both ways."""

from decimal import Decimal
from typing import Any

import httpx
import msgspec

from reverse_etl_assets.destinations.first_words import first_words
from reverse_etl_assets.errors import Ambiguous

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def encode_json(value: Any) -> bytes:
    """JSON for a request body; decimals keep every digit."""
    return _encoder.encode(value)


def decode_json(response: httpx.Response) -> Any:
    """The body of a 2xx answer; numbers with a point are `Decimal`, so that they keep every digit.

    Raises Ambiguous if it cannot be read: the write may well have happened.
    """
    try:
        return _decoder.decode(response.content)
    except msgspec.DecodeError as error:
        words = first_words(response)
        message = f"HTTP {response.status_code} with a body that is not JSON"
        raise Ambiguous(f"{message}: {words}" if words else message) from error
