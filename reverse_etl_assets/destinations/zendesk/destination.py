"""Zendesk Support: users and organizations with their own fields, and tickets; alone or as jobs of 100."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import httpx

from reverse_etl_assets.destinations.base import (
    NOTHING_KNOWN,
    HttpDestination,
    JobState,
    Part,
    decode_json,
    encode_json,
)
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.destinations.zendesk import (
    fields as zendesk_fields,
    jobs as zendesk_jobs,
    reading as zendesk_reading,
    sign_in as zendesk_sign_in,
)
from reverse_etl_assets.destinations.zendesk.answers import (
    Forbidden,
    gone,
    job_outcomes,
    refusal,
    request_error,
    written,
)
from reverse_etl_assets.destinations.zendesk.fields import ONE
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection, ZendeskOptions
from reverse_etl_assets.errors import (
    Ambiguous,
    CheckFailed,
    ContractViolation,
    DestinationError,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import (
    Batch,
    Capabilities,
    Current,
    FieldType,
    JobLimits,
    Operation,
    Outcome,
    Reason,
    Record,
    RowError,
    Status,
    Target,
)

ROWS_PER_JOB = 100
"""Users, organizations or tickets in one job, and ids in one show_many ("Users", "Organizations", Zendesk's API
reference, November 2026)."""
REQUESTS_PER_SECOND = 3.2
"""200 a minute is the plan Team; Growth and Professional have 400, Enterprise 700, Enterprise Plus 2,500 ("Rate
limits", Zendesk's API reference, November 2026). A little less, because requests
bunch up on their way and the window's edge counts on both sides."""
JOBS_AT_ONCE = 6
"""30 jobs may be queued or running in an account ("Rate limits: Job limit"); other tools need some of them, and six
keep the rate of most plans busy."""
JOBS_FROM = 5
"""Rows. A job takes about four requests: to open, to look twice, to collect; fewer rows go one by one."""

_ENDS = {Operation.UPSERT: "create_or_update_many", Operation.UPDATE: "update_many", Operation.DELETE: "destroy_many"}
_METHODS = {Operation.UPSERT: "POST", Operation.UPDATE: "PUT", Operation.DELETE: "DELETE"}
_RUNNING = ("queued", "working")


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="developer.zendesk.com, Migrating from API tokens to OAuth access tokens (API tokens end on 2027-04-30)",
)


_JOBS = JobLimits(ROWS_PER_JOB, 5_000_000, from_rows=JOBS_FROM, opens_loaded=True, timeout=1_800.0)
"""A run waits for half an hour. Zendesk tells of a job for a day ("Job Statuses", Zendesk's API reference, November
2026)."""


class Zendesk(HttpDestination[ZendeskConnection, ZendeskOptions]):
    """Users and organizations, matched by their external id, and tickets, by their number.

    An upsert of users is `create_or_update_many`, which finds a user by external id or any of the addresses; there is
    none for organizations, so those are upserted one by one. Fewer than `JOBS_FROM` rows go one by one, too.
    A value that is no option of a dropdown is dropped by Zendesk without a word, and so is a field it does not know:
    `check` reads the account's fields, and rows with such a value are not sent. The job's id in the journal has the
    places of those rows behind it (`8b72...;3,17`), because results are matched by their order.
    Reads are show_many by external ids, which sees every write at once; the search lags behind.
    """

    Connection = ZendeskConnection
    Options = ZendeskOptions
    kind = "zendesk"
    api = API
    describes = True
    forms_of_types = zendesk_fields.FORMS
    after_deletion = (
        "Zendesk keeps a deleted user with its tickets, without its address. Deleting it for good, as the GDPR asks, is"
        " a second step, which is not made: do it in Zendesk (People, Deleted users)."
    )

    def __init__(
        self, connection: ZendeskConnection, target: Target, options: ZendeskOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        self._one = ONE.get(target.object, "")
        self._root = f"/api/v2/{target.object}"
        self._ids = "ids" if target.external_id == "id" else "external_ids"
        self._choices: Mapping[str, list[str]] = {}
        self._looking, self._seen = asyncio.Lock(), True

    @classmethod
    def capabilities_for(cls, target: Target, options: ZendeskOptions) -> Capabilities:
        """The bytes a request may have are our choice: Zendesk publishes no limit."""
        able = zendesk_fields.writes(target.object)
        one_by_one = target.object == "organizations" and Operation.UPSERT in target.operations
        return Capabilities(
            operations=able,
            idempotent=able,
            max_rows=1,
            max_bytes=5_000_000,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=JOBS_AT_ONCE,
            fold_case=True,
            needs_id=able - {Operation.UPSERT},
            partial=able - {Operation.DELETE},
            find_limit=ROWS_PER_JOB,
            read_limit=ROWS_PER_JOB,
            jobs=_JOBS if options.bulk and not one_by_one else None,
        )

    @classmethod
    def record_link(
        cls, base_url: str, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]
    ) -> str | None:
        return f"{base_url.rstrip('/')}/agent/{target.object}/{destination_id}"

    def auth(self) -> httpx.Auth:
        return zendesk_sign_in.signed(self.client, self.connection)

    def warnings(self) -> list[str]:
        return [*super().warnings(), *zendesk_sign_in.warnings(self.connection)]

    def error_for(self, response: httpx.Response) -> DestinationError:
        return request_error(response, zendesk_sign_in.refused(self.connection))

    async def check(self) -> None:
        """One request for every 100 of the account's own fields of the object."""
        if not self._one:
            raise CheckFailed([zendesk_fields.unknown_object(self.target.object)])
        listed = await self._own_fields()
        if problems := list(zendesk_fields.problems(self.declared, listed)):
            raise CheckFailed(problems)
        self.learn(zendesk_fields.known(self.declared, listed).values())
        self._choices, self._seen = zendesk_fields.choices(self.target, listed), True

    async def _look_again(self) -> None:
        """Before the first job of a run that made no check: Zendesk drops what it has no field for, and a job's results
        do not say so. Raises TargetChanged."""
        async with self._looking:
            if self._seen:
                return
            try:
                await self.check()
            except CheckFailed as error:
                problems = " ".join(error.problems)
                raise TargetChanged(f"Zendesk is not as it was at the last check: {problems}") from error

    async def _own_fields(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = []
        for page in range(1, sys.maxsize):
            params = {"page": page, "per_page": 100}
            try:
                answer = await self._get(f"/api/v2/{self._one}_fields", **params)
            except (RequestRejected, TargetChanged) as error:
                right = "https://{subdomain}.zendesk.com"
                raise CheckFailed([f"`base_url` is no Zendesk account ({error}); it looks like {right}."]) from error
            listed += _list_of(answer, f"{self._one}_fields")
            if not answer.get("next_page"):
                break
        return listed

    def learned(self) -> Mapping[str, list[str]]:
        return {**self._choices, **super().learned()}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        super().recall(learned)
        self._seen = False
        self._choices = {name: known for name, known in learned.items() if name in self.target.fields}

    # One record

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        [record] = batch.records
        if refused := self._refused(record):
            return [refused]
        try:
            return await super().send(batch)
        except RequestRejected as error:
            if outcome := gone(batch.operation, record, error):
                return [outcome]
            raise

    def build_request(self, batch: Batch) -> httpx.Request:
        [record] = batch.records
        method, body = _METHODS[batch.operation], {self._one: self._body(record, batch.operation)}
        if batch.operation is Operation.UPSERT:
            return self._request(method, f"{self._root}/create_or_update", body)
        return self._request(method, f"{self._root}/{_id(record)}", {} if batch.operation is Operation.DELETE else body)

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        group = zendesk_fields.GROUP[self.target.object]
        for record in batch.records:
            if outcome := written(batch.operation, record, self._one, response, group):
                yield outcome

    def _body(self, record: Record, operation: Operation) -> dict[str, Any]:
        body = zendesk_fields.nested(self.target, self.in_form(record.fields))
        body.pop(self.target.external_id, None)
        if self.target.object == "users" and body.get("email", "") is None:
            del body["email"]  # Zendesk takes no address away
        if operation is not Operation.UPSERT:
            return body
        body[self.target.external_id] = record.external_id
        if self.target.object == "users" and not self.options.verify_email:
            body["skip_verify_email"] = True
        return body

    def _refused(self, record: Record) -> Outcome | None:
        return refusal(record, self._choices)

    # Jobs

    async def open_job(self, batch: Batch) -> str:
        if batch.operation is not Operation.DELETE:
            await self._look_again()
        left_out = [at for at, record in enumerate(batch.records) if self._refused(record)]
        sent, _ = zendesk_jobs.divided(batch, zendesk_jobs.job_name("", left_out))
        if not sent:
            return zendesk_jobs.job_name("", left_out)
        try:
            answer = decode_json(await self.exchange(self._job_request(batch.operation, sent)))
        except Forbidden as error:
            if batch.operation is not Operation.UPSERT:
                raise
            raise Forbidden(
                f"{error} If it may, the import of many users is off in this account, as in every new one: ask"
                " Zendesk's support to enable it, or set `bulk: false` in the sync's options."
            ) from error
        job = answer.get("job_status") if isinstance(answer, dict) else None
        if not isinstance(job, dict) or not job.get("id"):
            raise Ambiguous("the answer names no job")
        return zendesk_jobs.job_name(str(job["id"]), left_out)

    def _job_request(self, operation: Operation, sent: Sequence[Record]) -> httpx.Request:
        path = f"{self._root}/{_ENDS[operation]}"
        if operation is Operation.DELETE:
            return self.client.build_request("DELETE", path, params={"ids": ",".join(map(_id, sent))})
        rows = [self._body(record, operation) for record in sent]
        if operation is Operation.UPDATE:
            rows = [{"id": int(_id(record)), **row} for record, row in zip(sent, rows, strict=True)]
        return self._request(_METHODS[operation], path, {self.target.object: rows})

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        raise ContractViolation("a job of Zendesk has its rows from the beginning")

    async def poll(self, job_id: str) -> JobState:
        number = zendesk_jobs.number(job_id)
        if not number:
            return JobState.DONE  # every row was refused before it was sent
        try:
            job = await self._job(number)
        except RequestRejected as error:
            if error.code == "RecordNotFound":  # a day after it was opened
                return JobState.GONE
            raise
        return JobState.RUNNING if job["status"] in _RUNNING else JobState.DONE

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        sent, left_out = zendesk_jobs.divided(batch, job_id)
        number = zendesk_jobs.number(job_id)
        answered = job_outcomes(batch.operation, sent, await self._job(number)) if number else ()
        problem = RowError("the value was no option of its field in Zendesk, which would have dropped it")
        unsent = [Outcome(record.key, Status.FAILED, Reason.INVALID, problem) for record in left_out]
        return [*answered, *(self._refused(record) or each for record, each in zip(left_out, unsent, strict=True))]

    async def _job(self, number: str) -> dict[str, Any]:
        answer = await self._get(f"/api/v2/job_statuses/{number}")
        job = answer.get("job_status") if isinstance(answer, dict) else None
        if not isinstance(job, dict) or "status" not in job:
            raise RetryLater("the answer has no status of the job")
        return job

    # Looking records up

    async def find(self, external_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids by external id. One request, or more if the keys are too long for one URL."""
        found = await self._held(external_ids)
        return {each: [str(one["id"]) for one in records] for each, records in found.items()}

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> dict[str, list[Current]]:
        """A user has one external id; of rows that share a user only the latest is found by it."""
        found = await self._held(external_ids)
        lost = {known[each]: each for each in external_ids if each in known and not found[each]}
        if lost and self._ids != "ids":
            async for held in self._listed("ids", list(lost)):
                found[lost[str(held["id"])]].append(held)
        return {each: [zendesk_reading.current(self.target, one) for one in records] for each, records in found.items()}

    async def _held(self, external_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {each: [] for each in external_ids}
        asked = {each.lower(): each for each in external_ids if each.strip() and "," not in each}
        if self._ids == "ids":
            asked = {each: each for each in asked if each.isdecimal()}
        async for held in self._listed(self._ids, list(asked)):
            if each := asked.get(str(held.get(self.target.external_id)).lower()):
                found[each].append(held)
        return found

    async def _listed(self, by: str, values: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
        for some in zendesk_reading.lists(values):
            for held in _list_of(await self._get(f"{self._root}/show_many", **{by: some}), self.target.object):
                if held.get("active") is not False:
                    yield held

    def same(self, field: str, sent: Any, held: Any) -> bool:
        if zendesk_reading.same(self.target, field, sent, held):
            return True
        a_time = self.declared.fields.get(field) is FieldType.TIMESTAMP  # in whatever zone, it is one moment
        return a_time and zendesk_reading.same(self.declared, field, sent, held)

    async def _get(self, path: str, **params: Any) -> Any:
        return await self.read_json(self.client.build_request("GET", path, params=params or None))

    def _request(self, method: str, path: str, body: Mapping[str, Any]) -> httpx.Request:
        if not body:
            return self.client.build_request(method, path)
        headers = {"Content-Type": "application/json"}
        return self.client.build_request(method, path, content=encode_json(body), headers=headers)


def _list_of(answer: Any, name: str) -> list[dict[str, Any]]:
    listed = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise RetryLater(f"the answer has no {name}")  # which says nothing of who is there
    return listed


def _id(record: Record) -> str:
    if record.destination_id is None:
        raise ContractViolation(f"row {record.key} has no id: it has to be found first")
    return record.destination_id
