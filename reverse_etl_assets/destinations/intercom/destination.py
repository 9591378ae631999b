"""Intercom: contacts, companies, the contacts of a tag and of a company; one record a request."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

import httpx
import msgspec

from reverse_etl_assets.destinations.auth import BearerToken
from reverse_etl_assets.destinations.base import (
    NOTHING_KNOWN,
    HttpDestination,
    answered_at,
    decode_json,
    error_by_status,
    retry_after,
    status_words,
)
from reverse_etl_assets.destinations.intercom.api import (
    API_VERSION,
    Api,
    IntercomConnection,
    IntercomOptions,
    ObjectKind,
)
from reverse_etl_assets.destinations.intercom.links import MEMBERSHIPS, TAGS, Memberships, Tag
from reverse_etl_assets.destinations.intercom.records import Companies, Contacts
from reverse_etl_assets.destinations.status_errors import bare, words_in
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    CheckFailed,
    DestinationError,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import Batch, Capabilities, Current, Outcome, Target

WINDOW_SECONDS = 10.0
"""Limits start anew with each window of 10 seconds; `X-RateLimit-Reset` says when, in seconds since 1970, and there
is no `Retry-After` ("Rate limiting", reference 2.x of Intercom's developer documentation, 2026)."""
_NO_ROUTE = re.compile(r"requested resource|check your path", re.IGNORECASE)
"""Of a path that is not there, with the code of a record that is not ("User Not Found", "Company Not Found", "Resource
Not Found"): intercom-node, issue 98; python-intercom, issue 222; email-saga, issue 2; read 2026-11-30. What Intercom
answers beyond its own list of errors, `{"status": 404, "error": "Not Found"}`, names no code."""
_NO_ATTRIBUTE = re.compile(r"Custom attribute '.*' does not exist")
OBJECTS = "`contacts`, `companies`, `tags/<name>`, `company_memberships`"
_KINDS: Mapping[str, type[ObjectKind]] = {
    "contacts": Contacts,
    "companies": Companies,
    MEMBERSHIPS: Memberships,
}


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="developers.intercom.com, API changelog",
    version=API_VERSION,
)


class Intercom(HttpDestination[IntercomConnection, IntercomOptions]):
    """What a sync's `object` names decides who writes; what Intercom refuses is told by status and code.

    Contacts (by `external_id`) and companies are read back one at a time, from where writes show at once. Search, the
    only way to find contacts by their address, lags behind by minutes: it serves to look ids up, not to read.
    """

    Connection = IntercomConnection
    Options = IntercomOptions
    kind: ClassVar[str] = "intercom"
    api = API
    describes: ClassVar[bool] = True
    after_deletion = (
        "Intercom keeps an archived contact with its conversations, and an archived company. With"
        " `delete: permanently`, or by `reverse-etl forget --permanently`, a contact is removed for good."
    )
    after_erasure = "Intercom removes a contact for good."

    def __init__(
        self, connection: IntercomConnection, target: Target, options: IntercomOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        self._api = Api(self)
        self._object = _kind_of(target)(self._api, target, options)

    @classmethod
    def capabilities_for(cls, target: Target, options: IntercomOptions) -> Capabilities:
        kind = _kind_of(target)
        return replace(kind.capabilities(target), find_limit=kind.find_limit)

    @classmethod
    def reads_back(cls, target: Target, options: IntercomOptions) -> bool:
        return _kind_of(target).reads_back(target)

    def auth(self) -> httpx.Auth:
        return BearerToken(self.connection.access_token)

    async def check(self) -> None:
        name = self.target.object
        if name not in _KINDS and not name.startswith(TAGS):
            raise CheckFailed([f"There is no object `{name}`. Known are {OBJECTS}."])
        try:
            await self._object.check()
        except RequestRejected as error:
            raise CheckFailed([f"Intercom refused to say what there is ({error}). Is base_url right?"]) from error

    def learned(self) -> Mapping[str, list[str]]:
        return self._object.learned()

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        self._object.recall(learned)

    def build_request(self, batch: Batch) -> httpx.Request:
        [record] = batch.records
        return self._api.request(*self._object.call(batch.operation, record))

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        [record] = batch.records
        if outcome := self._object.unsendable(record):
            return [outcome]
        try:
            return await super().send(batch)
        except RequestRejected as error:
            if outcome := self._object.refused(batch.operation, record, error):
                return [outcome]
            raise

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        [record] = batch.records
        answer = decode_json(response)
        if not isinstance(answer, dict) or "id" not in answer:
            raise Ambiguous("the answer names no record")
        if outcome := self._object.outcome(batch.operation, record, answer):
            yield outcome

    def error_for(self, response: httpx.Response) -> DestinationError:
        refusal = _first_error(response)
        code, text = refusal.get("code"), refusal.get("message")
        message = ": ".join(str(each) for each in (code, text or status_words(response)) if each)
        if code == "intercom_version_invalid":
            return TargetChanged(
                f"{bare(message)}. Requests are of version {API_VERSION}, which Intercom does not answer any more: it"
                " takes a later release of this adapter."
            )
        if _NO_ATTRIBUTE.search(str(text)):
            return TargetChanged(
                f"{bare(message)}. It was there at the last check: was it renamed or archived? `reverse-etl check`"
                " names it."
            )
        of_a_record = code and not _NO_ROUTE.search(str(text))
        if response.status_code in (404, 410) and not of_a_record:  # no record is gone because a page is
            return TargetChanged(f"{bare(message)}: that is no answer of Intercom's API. Is `base_url` right?")
        match response.status_code:
            case 429:
                return RetryLater(message, _wait(response), hold=True)
            case 401:
                where = f"this one is for {self.connection.base_url}"
                return AuthenticationFailed(
                    f"{bare(message)}. A token works in the region of its workspace alone, and {where}."
                    f"{self._other_kind()}"
                )
            case 403:
                return AuthenticationFailed(
                    f"{bare(message)}. The app of the token needs the permissions {self._object.needs}."
                )
        error = error_by_status(response, message, code)
        if isinstance(error, RequestRejected):  # which tells the code beside the words
            return RequestRejected(str(text or message or error), error.code, refusal.get("field"))
        return error

    def _other_kind(self) -> str:
        """An app's access token begins so ("Authentication", Intercom's developer documentation: base64 of `tok:`)."""
        if self.connection.access_token.get_secret_value().startswith("dG9rO"):
            return ""
        return (
            " An app's access token begins with `dG9rO`, and this one does not: it is on the app's page, under"
            " Configure, Authentication. Client id and client secret are none."
        )

    # Looking records up

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return await self._object.find(external_ids)

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        return {each: await self._object.read(each, known.get(each)) for each in external_ids}

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return self._object.same(field, sent, held)


def _kind_of(target: Target) -> type[ObjectKind]:
    return Tag if target.object.startswith(TAGS) else _KINDS.get(target.object, Contacts)


def _first_error(response: httpx.Response) -> dict[str, Any]:
    """The first of the errors that a refusal lists; what it says in place of a list; an empty one if neither.

    Beside the list of the reference there are answers of the kind `{"status": 400, "error": "Bad Request"}`.
    """
    try:
        body = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
    errors = body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        first = errors[0]
        return first if first.get("message") else {**first, "message": words_in(response, body)}
    error = body["error"] if isinstance(body.get("error"), str) else ""
    words = ": ".join(each for each in (error, words_in(response, body, but=error)) if each)
    return {"message": words} if words else {}


def _wait(response: httpx.Response) -> float:
    """Seconds until the window starts anew; never more than a window, whatever the clocks say."""
    if (named := retry_after(response)) is not None:
        return named
    reset = response.headers.get("X-RateLimit-Reset", "")
    left = int(reset) - answered_at(response) if reset.isdecimal() else WINDOW_SECONDS
    return min(max(left, 1.0), WINDOW_SECONDS)
