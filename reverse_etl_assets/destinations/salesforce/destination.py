"""Salesforce: sObject Collections for small change sets, Bulk API 2.0 jobs for large ones."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx

from reverse_etl_assets.destinations import choices
from reverse_etl_assets.destinations.base import (
    NOTHING_KNOWN,
    HttpDestination,
    JobState,
    Part,
    decode_json,
    encode_json,
)
from reverse_etl_assets.destinations.salesforce import (
    bulk as salesforce_bulk,
    describe as salesforce_describe,
    parents as salesforce_parents,
    recycle_bin,
    sign_in as salesforce_sign_in,
)
from reverse_etl_assets.destinations.salesforce.answers import (
    collection_outcome,
    of_the_rows,
    of_the_target,
    quota,
    request_error,
)
from reverse_etl_assets.destinations.salesforce.api import Api
from reverse_etl_assets.destinations.salesforce.check import described
from reverse_etl_assets.destinations.salesforce.jobs import Jobs
from reverse_etl_assets.destinations.salesforce.lookups import LookUps
from reverse_etl_assets.destinations.salesforce.options import API, SalesforceConnection, SalesforceOptions
from reverse_etl_assets.destinations.salesforce.reading import RECORD_TYPE, Reading
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.destinations.values import json_text, key_value, utc_milliseconds
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    ContractViolation,
    DestinationError,
    JobRefused,
    RequestRejected,
    SpecError,
)
from reverse_etl_assets.records import (
    Batch,
    Capabilities,
    Current,
    FieldType,
    JobLimits,
    Operation,
    Outcome,
    Quota,
    Reason,
    Record,
    RowError,
    Status,
    Target,
)

ROWS_PER_REQUEST = 200
"""sObject Collections take 200 records a request ("Upsert Records Using sObject Collections", REST API guide)."""
JOB_BYTES = 100_000_000
"""A job's file may have 150 MB once Salesforce has encoded it, so 100 MB raw ("Bulk API 2.0 Limits")."""

_CONVERT: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.TIMESTAMP: utc_milliseconds,
    FieldType.TIME: lambda text: text if text.endswith("Z") else f"{text[:12]}Z",
    FieldType.JSON: json_text,
}
_API_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


class Salesforce(HttpDestination[SalesforceConnection, SalesforceOptions]):
    """Any sObject, matched by an external id field.

    An upsert names the external id; update and delete need the record's Id, which `find` reads with SOQL.
    An answer of sObject Collections has its rows in the order of the request, which is documented and all there is
    to match them by: one of another length settles nothing.
    A mapped `Account.External_Id__c` fills the lookup field with the account that carries the external id.
    A text field that gets a number is told from the describe that `check` reads, and gets it as text; so is the key.
    Read are the fields that are written, with SOQL, which sees every write at once.
    """

    Connection = SalesforceConnection
    Options = SalesforceOptions
    kind = "salesforce"
    api = API
    describes = True
    forms_of_types = salesforce_describe.FORMS
    after_deletion = "Salesforce keeps a deleted record in its Recycle Bin for 15 days: empty it there."

    def __init__(
        self,
        connection: SalesforceConnection,
        target: Target,
        options: SalesforceOptions,
        client: httpx.AsyncClient,
    ) -> None:
        super().__init__(connection, target, options, client)
        self._headers = {"Content-Type": "application/json"}
        if options.allow_duplicates:
            self._headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
        self._api = Api(self, connection.api_version)
        self._jobs = Jobs(self._api)
        self._look_ups = LookUps(self._api, target, case_sensitive=options.case_sensitive_key)
        self._object = quote(target.object, safe="")
        self._attributes = {"type": target.object}
        self._parents = salesforce_parents.dotted(target.fields)
        self._reading = Reading(target, fold_case=self.capabilities.fold_case)
        self._learned: dict[str, list[str]] = {}
        self._convert = self._conversions()

    @classmethod
    def capabilities_for(cls, target: Target, options: SalesforceOptions) -> Capabilities:
        """An insert is idempotent because `check` asks for a unique external id: a second one is refused.

        Only requests that run 20 seconds or longer are limited in number, to 5 in the smallest edition ("API
        Request Limits and Allocations", Developer Limits Quick Reference). The bytes a batch may have are our choice.
        Salesforce cuts blanks around a key off, but no full-width ones (forcedotcom/dataloader, pull request 1453,
        2025-01-15).
        """
        for name in (target.object, target.external_id):
            if not _API_NAME.fullmatch(name):
                raise SpecError(f"`{name}` is not an API name; those look like `Contact` or `Customer_Key__c`.")
        jobs_from = None if options.allow_duplicates else options.bulk_threshold
        return Capabilities(
            operations=frozenset(Operation),
            idempotent=frozenset(Operation),
            max_rows=ROWS_PER_REQUEST,
            max_bytes=5_000_000,
            concurrency=5,
            fold_case=not options.case_sensitive_key and target.external_id != "Id",
            fold_blanks=True,
            needs_id=frozenset({Operation.UPDATE, Operation.DELETE}),
            partial=frozenset({Operation.UPSERT, Operation.UPDATE}),
            several_records=frozenset({"DUPLICATE_EXTERNAL_ID"}),
            retry_serially=True,
            find_limit=200,
            read_limit=200,
            restore_limit=recycle_bin.RECORDS_PER_CALL,
            jobs=JobLimits(100_000, JOB_BYTES, from_rows=jobs_from) if jobs_from else None,
        )

    @classmethod
    def quota(cls, response: httpx.Response) -> Quota | None:
        return quota(response)

    @classmethod
    def link(cls, base_url: str, target: Target) -> str | None:
        return f"{base_url.rstrip('/')}/lightning/o/{quote(target.object, safe='')}/list"

    @classmethod
    def record_link(
        cls, base_url: str, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]
    ) -> str | None:
        return f"{base_url.rstrip('/')}/lightning/r/{quote(target.object, safe='')}/{quote(destination_id)}/view"

    def auth(self) -> httpx.Auth:
        self._tokens = salesforce_sign_in.signed(self.client, self.connection)
        return self._tokens

    def error_for(self, response: httpx.Response) -> DestinationError:
        return request_error(response)

    async def check(self) -> None:
        """One request, the object's describe, and one for each parent that a mapped field names."""
        sensitive = self.options.case_sensitive_key
        describe = await described(self._api, self.declared, self._parents, case_sensitive_key=sensitive)
        self.learn(map(salesforce_describe.field_of, describe["fields"]))
        self.recall({**salesforce_describe.choices(describe, self.declared), **super().learned()})

    def learned(self) -> Mapping[str, list[str]]:
        return self._learned

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        super().recall(learned)
        self._learned, self._reading.forms, self._look_ups.target = dict(learned), self.forms, self.target
        self._convert = self._conversions()
        if record_types := self._reading.learn_record_types(learned.get(RECORD_TYPE, ())):
            self._convert[RECORD_TYPE] = lambda name: record_types.get(name, name)

    def _conversions(self) -> dict[str, Callable[[Any], Any]]:
        """A time goes out to the millisecond also where text is kept; a parent's key may be a parent without one."""
        sent = self.declared.fields
        keys = [name for name in self.forms.as_text if name in self._parents]
        return {
            **{name: _CONVERT[kind] for name, kind in sent.items() if kind in _CONVERT},
            **self.conversions,
            **{name: utc_milliseconds for name, kind in sent.items() if kind is FieldType.TIMESTAMP},
            **dict.fromkeys(keys, salesforce_parents.key_text),
        }

    # One request, up to 200 rows

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        unfit = {record.key: error for record in batch.records if (error := self._unfit(record))}
        refused = [Outcome(key, Status.FAILED, Reason.INVALID, error) for key, error in unfit.items()]
        if sent := [record for record in batch.records if record.key not in unfit]:
            return [*refused, *await self._send(replace(batch, records=sent))]
        return refused

    def _unfit(self, record: Record) -> RowError | None:
        return choices.unfit(record, self.lists)

    async def _send(self, batch: Batch) -> Sequence[Outcome]:
        try:
            return await super().send(batch)
        except RequestRejected as error:
            raise of_the_target(error) from error

    def build_request(self, batch: Batch) -> httpx.Request:
        path = f"{self._api.root}/composite/sobjects"
        if batch.operation is Operation.DELETE:
            ids = ",".join(_id(record) for record in batch.records)
            return self.client.build_request("DELETE", path, params={"ids": ids, "allOrNone": "false"})
        if batch.operation is Operation.UPSERT:
            path = f"{path}/{self._object}/{quote(self.target.external_id, safe='')}"
        method = "POST" if batch.operation is Operation.INSERT else "PATCH"
        update = batch.operation is Operation.UPDATE
        rows = [self._body_by_id(record) if update else self._body(record) for record in batch.records]
        body = encode_json({"allOrNone": False, "records": rows})
        return self.client.build_request(method, path, content=body, headers=self._headers)

    def _body(self, record: Record) -> dict[str, Any]:
        key = key_value(self.target.key_type, record.external_id)
        return {"attributes": self._attributes, **self._values(record), self.target.external_id: key}

    def _body_by_id(self, record: Record) -> dict[str, Any]:
        body = {"attributes": self._attributes, **self._values(record)}
        body.pop(self.target.external_id, None)  # it is what the record was found by
        return body | {"id": _id(record)}

    def _values(self, record: Record) -> Mapping[str, Any]:
        if not self._convert and not self._parents:
            return record.fields
        values = dict(record.fields)
        for name, convert in self._convert.items():
            if values.get(name) is not None:
                values[name] = convert(values[name])
        if self._parents:
            salesforce_parents.nest(values, self._parents)
        return values

    def read_response(self, batch: Batch, response: httpx.Response) -> list[Outcome]:
        results = decode_json(response)
        if not isinstance(results, list) or len(results) != len(batch.records):
            raise Ambiguous("the answer does not have one result for each row")
        rows = zip(batch.records, results, strict=True)
        outcomes = [collection_outcome(self.target, batch.operation, *row, self._learned) for row in rows]
        of_the_rows(outcomes)
        return [outcome for outcome in outcomes if outcome]

    # Looking records up

    async def find(self, external_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids by external id. One request, or more if the keys are too long for one URL."""
        return {each: [row["Id"] for row in rows] for each, rows in (await self._look_ups.by_key(external_ids)).items()}

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> dict[str, list[Current]]:
        found = await self._look_ups.by_key(external_ids, self._reading.columns)
        lost = {known[each]: each for each in external_ids if each in known and not found[each]}
        async for record_id, row in self._look_ups.by_id(list(lost), self._reading.columns):
            found[lost[record_id]].append(row)
        return {each: [self._reading.current(row) for row in rows] for each, rows in found.items()}

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return self._reading.same(field, sent, held)

    # The Recycle Bin

    async def restore(self, destination_ids: Sequence[str]) -> Mapping[str, bool]:
        token = await self._tokens.token()
        try:
            answer = await self._undelete(token, destination_ids)
        except AuthenticationFailed:  # also of a session that has ended: SOAP does not say so by a 401
            answer = await self._undelete(await self._tokens.token(stale=token), destination_ids)
        return recycle_bin.brought_back(destination_ids, answer)

    async def _undelete(self, session: str, ids: Sequence[str]) -> str:
        path, body = recycle_bin.path(self.connection.api_version), recycle_bin.undelete(session, ids)
        request = self.client.build_request("POST", path, content=body, headers=recycle_bin.HEADERS)
        return (await self.exchange(request)).text

    # Jobs

    async def open_job(self, batch: Batch) -> str:
        return await self._jobs.open(self.target, batch.operation)

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        await self._jobs.upload(
            job_id, salesforce_bulk.encode_csv(self.target, batch, self._convert, self._parents, self._unfit)
        )

    async def poll(self, job_id: str) -> JobState:
        return await self._jobs.state(job_id)

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        answer, fold = await self._jobs.answer(job_id), self._look_ups.fold
        if answer.lacks_a_field:
            raise JobRefused(
                f"{bare(answer.message)}. It was there at the last check; `reverse-etl check` names what is not"
            )
        return list(salesforce_bulk.job_outcomes(self.target, batch, answer, fold, self._learned, self._unfit))


def _id(record: Record) -> str:
    if record.destination_id is None:
        raise ContractViolation(f"row {record.key} has no Id: it has to be found first")
    return record.destination_id
