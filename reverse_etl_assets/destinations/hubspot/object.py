"""What HubSpot's kinds of objects have in common: records, the members of a list, associations between records."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import httpx

from reverse_etl_assets.destinations.base import NOTHING_KNOWN, decode_json
from reverse_etl_assets.destinations.hubspot.api import Api
from reverse_etl_assets.destinations.hubspot.options import HubSpotOptions
from reverse_etl_assets.destinations.hubspot.request_errors import request_error
from reverse_etl_assets.destinations.schema import TakesForms
from reverse_etl_assets.errors import Ambiguous, DestinationError, RequestRejected
from reverse_etl_assets.records import Batch, Capabilities, Current, Outcome, Reason, Target


class ObjectKind(TakesForms, ABC):
    """How one kind of object is checked, written, found and read; the methods of a destination, by the same names."""

    reads_back: ClassVar[bool] = False
    """Whether what is found by an external id is what is written: then it can be read, too."""

    def __init__(self, api: Api, target: Target, options: HubSpotOptions) -> None:
        super().__init__(target)
        self.api, self.options = api, options

    @staticmethod
    @abstractmethod
    def capabilities(target: Target) -> Capabilities: ...

    @staticmethod
    def records_of(target: Target, learned: Mapping[str, Sequence[str]]) -> str:
        """The object whose records an outcome's `destination_id` names."""
        return target.object

    @abstractmethod
    async def check(self) -> None: ...

    @abstractmethod
    def build_request(self, batch: Batch) -> httpx.Request: ...

    @abstractmethod
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]: ...

    @abstractmethod
    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]: ...

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        raise NotImplementedError("only of what `reads_back`")

    def same(self, field: str, sent: Any, held: Any) -> bool:
        raise NotImplementedError("only of what `reads_back`")

    def not_sendable(self, batch: Batch) -> list[Outcome]:
        """Outcomes of the rows that no request can be made of, because HubSpot has nothing that they name."""
        return []

    async def named_by_record(self, batch: Batch, response: httpx.Response) -> list[Outcome]:
        """Outcomes of rows that an answer names by their record alone, so that HubSpot has to be asked whose it is."""
        return []

    def refused_alone(self, batch: Batch, error: RequestRejected) -> Outcome | None:
        """The outcome of the one row of a batch that was refused as a whole, if it is no plain refusal."""
        return None

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """What a batch came to; rows with `retry` will be sent again."""

    def error_for(self, response: httpx.Response) -> DestinationError:
        return request_error(response, writes=_path(response).endswith(_WRITES))


_WRITES = ("/batch/upsert", "/batch/create", "/batch/update", "/batch/archive", "/batch/associate/default")


def _path(response: httpx.Response) -> str:
    try:
        return response.request.url.path
    except RuntimeError:  # it is not known
        return ""


def without_record(batch: Batch, message: str) -> list[Outcome]:
    """Outcomes of the rows that were looked up in vain."""
    rows = (record for record in batch.records if record.destination_id is None)
    return [Outcome.skipped(record.key, Reason.NOT_FOUND, message) for record in rows]


def answer_of(response: httpx.Response) -> Mapping[str, Any]:
    """The object in a 2xx answer; an empty one if there is no body: seen with a malformed request, nothing is written.

    Raises Ambiguous if it is something else.
    """
    if not response.content:
        return {}
    answer = decode_json(response)
    if not isinstance(answer, dict):
        raise Ambiguous("the answer is no object with results")
    return answer
