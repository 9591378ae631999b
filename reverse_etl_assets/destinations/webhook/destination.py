"""Any HTTP API. The shortest destination, and the one to copy for another."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from reverse_etl_assets.destinations.base import (
    NOTHING_KNOWN,
    HttpDestination,
    decode_json,
    encode_json,
    error_by_status,
)
from reverse_etl_assets.destinations.values import same_value
from reverse_etl_assets.destinations.webhook.answers import SKIPPED, ListedResults, dig, status_outcomes
from reverse_etl_assets.destinations.webhook.options import WebhookConnection, WebhookOptions
from reverse_etl_assets.destinations.webhook.reading import RecordPages
from reverse_etl_assets.destinations.webhook.refusals import NamedRefusals
from reverse_etl_assets.destinations.webhook.requests import RequestTemplates, able
from reverse_etl_assets.destinations.webhook.security import WebhookAuth, redacted, refuse_private_address
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, CheckFailed, DestinationError, RequestRejected
from reverse_etl_assets.records import (
    Batch,
    Capabilities,
    Current,
    FieldType,
    Operation,
    Outcome,
    Reason,
    Record,
    RowError,
    Status,
    Target,
)

_MOST, _SHORT = 10_000, 500  # characters of an error's body


class Webhook(HttpDestination[WebhookConnection, WebhookOptions]):
    """Requests from templates; outcomes from the status or from a list in the answer.

    An API that only answers with a status does not say created or updated, so such outcomes are inferred, but for 201.
    Redirects are not followed, and stop the run: a POST may lose its body on the way, and a token must not go to
    another host.
    """

    Connection = WebhookConnection
    Options = WebhookOptions

    def __init__(
        self, connection: WebhookConnection, target: Target, options: WebhookOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        client.follow_redirects = False
        self._templates = {operation: RequestTemplates(target, options, operation) for operation in able(options)}
        once, folds = self.capabilities.once, options.fold_case
        self._listed = ListedResults(target, options.results, fold_case=folds, once=once, not_taken=options.not_taken)
        self._named = NamedRefusals(target, options.results, fold_case=folds)
        self._pages = RecordPages(target, options.read, fold_case=options.fold_case) if options.read else None
        self._address_is_fine = connection.allow_private

    @classmethod
    def capabilities_for(cls, target: Target, options: WebhookOptions) -> Capabilities:
        """Inserts are idempotent only with an idempotency key, and one row a request: batches are cut anew."""
        for operation in able(options):
            RequestTemplates(target, options, operation)  # raises SpecError for an unknown placeholder
        pages = RecordPages(target, options.read, fold_case=options.fold_case) if options.read else None
        idempotent = {Operation.UPSERT, Operation.UPDATE, Operation.DELETE}
        if options.idempotency_header and options.batch_size == 1:
            idempotent.add(Operation.INSERT)
        return Capabilities(
            operations=able(options),
            idempotent=frozenset(idempotent),
            max_rows=options.batch_size,
            max_bytes=options.max_bytes,
            fold_case=options.fold_case,
            confirms=options.results.status is not None,
            partial=options.partial & able(options),
            not_taken=options.not_taken,
            refuses_whole=options.refuses_whole,
            read_limit=pages.at_once if pages else 1,
        )

    @classmethod
    def reads_back(cls, target: Target, options: WebhookOptions) -> bool:
        return options.read is not None

    def auth(self) -> httpx.Auth:
        return WebhookAuth(self.connection, self.client)

    async def check(self) -> None:
        """GET `check_path`, if there is one. No HTTP API can be asked for its fields in a way that all share.

        Raises ConfigurationError for an address in a private network.
        """
        await self._refuse_private_address()
        if self.options.check_path is None:
            return
        try:
            await self.read(self.client.build_request("GET", self._url(self.options.check_path)))
        except RequestRejected as error:
            words = str(error)[:_SHORT]
            raise CheckFailed([f"GET {self.options.check_path} was refused: {words}"]) from error

    def build_request(self, batch: Batch) -> httpx.Request:
        templates = self._templates[batch.operation]
        scope = templates.scope(batch)
        headers = {name: str(render(scope)) for name, render in templates.headers.items()}
        if self.options.idempotency_header:
            headers[self.options.idempotency_header] = batch.idempotency_key
        if self.connection.signing_secret:
            headers["webhook-id"] = batch.idempotency_key
        content = None
        if templates.body is not None:
            content = self._encode(templates.body(scope))
            headers.setdefault("Content-Type", f"application/{'x-ndjson' if self._lines else 'json'}")
        return self.client.build_request(
            templates.method, self._url(templates.path(scope)), content=content, headers=headers
        )

    @property
    def _lines(self) -> bool:
        return self.options.format == "ndjson"

    def _encode(self, body: Any) -> bytes:
        return b"".join(encode_json(line) + b"\n" for line in body) if self._lines else encode_json(body)

    def _url(self, path: str) -> str:
        return f"{self.connection.base_url.rstrip('/')}{path}" if path else self.connection.base_url

    async def exchange(self, request: httpx.Request) -> httpx.Response:
        await self._refuse_private_address()
        return await super().exchange(request)

    async def _refuse_private_address(self) -> None:
        if not self._address_is_fine:
            for address in (self.connection.base_url, self.connection.token_url):
                if address and address.startswith("http"):
                    await refuse_private_address(httpx.URL(address))
            self._address_is_fine = True

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        try:
            return await super().send(batch)
        except RequestRejected as error:
            if len(batch.records) == 1 and error.code in self._skipping(batch.operation):
                return [Outcome.skipped(batch.records[0].key, SKIPPED[batch.operation], str(error))]
            if isinstance(error, _Refusal) and (outcomes := self._some_refused(batch, error)):
                return outcomes
            raise

    def _some_refused(self, batch: Batch, error: "_Refusal") -> list[Outcome]:
        """Outcomes from a 4xx that names the rows it is about; none if it does not."""
        try:
            named = self._named.of(batch, _json(error.response)) if self._named else {}
        except Ambiguous:
            return []
        others = [record for record in batch.records if record.key not in named]
        if not named:
            return []
        if not self.options.refuses_whole:
            return [*named.values(), *status_outcomes(batch, others, error.response.status_code, None)]
        again = RowError("refused together with others of its batch, and sent again without them")
        return [*named.values(), *(Outcome.rejected(record.key, again, retry=True) for record in others)]

    def _skipping(self, operation: Operation) -> set[str]:
        match operation:
            case Operation.INSERT:
                return {str(status) for status in self.options.exists}
            case Operation.UPDATE | Operation.DELETE:
                return {str(status) for status in self.options.missing}
        return set()

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        results = self.options.results
        lists = results.match != "status" or bool(self._named)
        if response.status_code not in self.options.success | ({207} if lists else set()):
            raise Ambiguous(f"HTTP {response.status_code} is not in `success`: nobody knows if it is done")
        needed = bool(self._named or results.done) and response.status_code != 204
        answer = decode_json(response) if needed else _json(response)
        self._named.refuse_if_not_done(answer)
        named = self._named.of(batch, answer)
        yield from named.values()
        if results.match == "status":
            yield from self._by_status(batch, [each for each in batch.records if each.key not in named], response)
        elif response.content:
            listed = self._listed.outcomes(batch, decode_json(response))
            yield from (outcome for outcome in listed if outcome.key not in named)

    def _by_status(self, batch: Batch, records: Sequence[Record], response: httpx.Response) -> Iterator[Outcome]:
        """What the status says of rows that nothing else is said of, unless the answer speaks of errors."""
        answer, id_at = _json(response), self.options.results.id
        one = len(batch.records) == 1
        if unread := self._named.unread(answer, (self.target.external_id, *self.target.fields), one=one):
            problem = RowError(f"the answer speaks of errors at `{unread}`; `results.refused` can say what that means")
            yield from (Outcome(each.key, Status.FAILED, Reason.AMBIGUOUS, problem) for each in records)
            return
        found = dig(decode_json(response), id_at) if id_at and response.content else None
        yield from status_outcomes(batch, records, response.status_code, None if found is None else str(found))

    # Reading back

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        """A status of `missing` means that there is no such record, where one is asked for at a time."""
        assert self._pages is not None  # noqa: S101 - `reads_back` says so
        found: dict[str, list[Current]] = {each: [] for each in external_ids}
        page: httpx.URL | None = httpx.URL(self._url(self._pages.first(external_ids)))
        seen: set[httpx.URL] = set()
        while page is not None and page not in seen:
            seen.add(page)
            try:
                answer = await self.read_json(self.client.build_request("GET", page))
            except RequestRejected as error:
                if len(external_ids) == 1 and error.code in {str(status) for status in self.options.missing}:
                    break
                raise
            self._pages.sort_into(found, answer)
            page = self._pages.next(page, answer)
        return found

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return sent == held or same_value(self.target.fields.get(field, FieldType.TEXT), sent, held)

    def error_for(self, response: httpx.Response) -> DestinationError:
        status = response.status_code
        if response.is_redirect:
            # For every row alike, and often to a page to sign in; or to the result of what was done (303).
            error = AuthenticationFailed(f"HTTP {status}: redirects are not followed; set base_url anew")
            error.perhaps_done = True
            return error
        words = redacted(self.connection, response.text)[:_MOST].strip()
        found = error_by_status(response, f"HTTP {status}: {words}" if words else None)
        if isinstance(found, RequestRejected):
            return _Refusal(str(found), found.code, whole=found.whole, response=response)
        return found


class _Refusal(RequestRejected):
    """A 4xx, with its answer: this may name the rows that it is about."""

    def __init__(self, message: str, code: str | None, *, whole: bool, response: httpx.Response) -> None:
        super().__init__(message, code, whole=whole)
        self.response = response


def _json(response: httpx.Response) -> Any:
    """An answer that need not be JSON; None if it is none."""
    try:
        return decode_json(response)
    except Ambiguous:
        return None
