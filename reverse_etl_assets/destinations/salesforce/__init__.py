"""Salesforce: sObject Collections for small change sets, Bulk API 2.0 jobs for large ones."""

import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
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
from reverse_etl_assets.destinations.salesforce import bulk as salesforce_bulk
from reverse_etl_assets.destinations.salesforce import describe as salesforce_describe
from reverse_etl_assets.destinations.salesforce import parents as salesforce_parents
from reverse_etl_assets.destinations.salesforce import recycle_bin
from reverse_etl_assets.destinations.salesforce import sign_in as salesforce_sign_in
from reverse_etl_assets.destinations.salesforce import soql as salesforce_soql
from reverse_etl_assets.destinations.salesforce.answers import (
    collection_outcome,
    of_the_target,
    quota,
    request_error,
)
from reverse_etl_assets.destinations.salesforce.options import API, SalesforceConnection, SalesforceOptions
from reverse_etl_assets.destinations.salesforce.reading import RECORD_TYPE, Reading
from reverse_etl_assets.destinations.schema import nearest
from reverse_etl_assets.destinations.values import json_text, key_value, plain_text, utc_milliseconds
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    CheckFailed,
    ContractViolation,
    DestinationError,
    RequestRejected,
    RetryLater,
    SpecError,
    TargetChanged,
)
from reverse_etl_assets.records import (
    Batch,
    Capabilities,
    Current,
    FieldType,
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
LONGEST_URL = 16_000
"""Bytes; Salesforce refuses a URL beyond 16,384 ("SOQL and SOSL Limits", Developer Limits Quick Reference)."""
JOB_BYTES = 100_000_000
"""A job's file may have 150 MB once Salesforce has encoded it, so 100 MB raw ("Bulk API 2.0 Limits")."""

_CONVERT: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.TIMESTAMP: utc_milliseconds,
    FieldType.TIME: lambda text: text if text.endswith("Z") else f"{text[:12]}Z",
    FieldType.JSON: json_text,
}
_API_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_JOB_STATES = {"Open": JobState.OPEN, "UploadComplete": JobState.RUNNING, "InProgress": JobState.RUNNING}


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

    find_limit = 200
    read_limit = 200
    restore_limit = recycle_bin.RECORDS_PER_CALL
    job_max_rows = 100_000
    job_opens_loaded = False
    job_spans_run = False
    job_patience = None
    job_max_bytes = JOB_BYTES

    def __init__(
        self,
        connection: SalesforceConnection,
        target: Target,
        options: SalesforceOptions,
        client: httpx.AsyncClient,
    ) -> None:
        super().__init__(connection, target, options, client)
        jobs = options.bulk_threshold is not None and not options.allow_duplicates
        self.job_threshold = options.bulk_threshold if jobs and options.bulk_threshold else sys.maxsize
        self._headers = {"Content-Type": "application/json"}
        if options.allow_duplicates:
            self._headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
        self._root = f"/services/data/v{connection.api_version}"
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
        try:
            describe = await self._get(f"/sobjects/{self._object}/describe")
        except (RequestRejected, TargetChanged) as error:
            raise CheckFailed([await self._not_there(error)]) from error
        found = await self._add_parents(describe)
        sensitive = self.options.case_sensitive_key
        found += salesforce_describe.problems(describe, self.declared, case_sensitive_key=sensitive)
        if found:
            raise CheckFailed(found)
        self.learn(map(salesforce_describe.field_of, describe["fields"]))
        self.recall({**salesforce_describe.choices(describe, self.declared), **super().learned()})

    def learned(self) -> Mapping[str, list[str]]:
        return self._learned

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        super().recall(learned)
        self._learned, self._reading.forms = dict(learned), self.forms
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

    async def _add_parents(self, describe: dict[str, Any]) -> list[str]:
        """Add the fields of parents that are mapped to the object's own. Returns what is wrong with them."""
        problems: list[str] = []
        for name, (relationship, _) in self._parents.items():
            try:
                other = salesforce_parents.parent_object(describe, relationship)
                parent = await self._get(f"/sobjects/{quote(other, safe='')}/describe")
                lookup = salesforce_parents.lookups(describe)[relationship]
                describe["fields"].append(salesforce_parents.as_own_field(lookup, parent, name))
            except ValueError as error:
                problems.append(str(error))
            except RequestRejected as error:
                problems.append(
                    f"`{relationship}` leads to `{other}`, which this user cannot see ({error}): give it the"
                    f" permission, or map `{salesforce_parents.lookup_field(relationship)}` to a column of Ids."
                )
        return problems

    async def _not_there(self, error: DestinationError) -> str:
        """Is it the object that is not there, or the version of the API?"""
        own, name = self.connection.api_version, self.target.object
        listed = await self.read_json(self.client.build_request("GET", "/services/data"))
        versions = [str(each["version"]) for each in listed]
        if own not in versions:
            return (
                f"This org does not have version {own} of the API ({error}): set `api_version` to one from"
                f" {versions[0]} to {versions[-1]}."
            )
        objects = [each["name"] for each in (await self._get("/sobjects"))["sobjects"]]
        return f"There is no object `{name}` that this user can see{nearest(name, objects)} ({error})."

    async def _get(self, path: str, **params: str) -> Any:
        return await self.read_json(self.client.build_request("GET", self._root + path, params=params or None))

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
        path = f"{self._root}/composite/sobjects"
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

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        results = decode_json(response)
        if not isinstance(results, list) or len(results) != len(batch.records):
            raise Ambiguous("the answer does not have one result for each row")
        for record, result in zip(batch.records, results, strict=True):
            if outcome := collection_outcome(self.target, batch.operation, record, result, self._learned):
                yield outcome

    # Looking records up

    async def find(self, external_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids by external id. One request, or more if the keys are too long for one URL."""
        return {each: [row["Id"] for row in rows] for each, rows in (await self._select(external_ids)).items()}

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> dict[str, list[Current]]:
        found = await self._select(external_ids, self._reading.columns)
        lost = {
            salesforce_soql.same_id(known[each]): each for each in external_ids if each in known and not found[each]
        }
        async for row in self._by_id([known[each] for each in lost.values()]):
            found[lost[salesforce_soql.same_id(row["Id"])]].append(row)
        return {each: [self._reading.current(row) for row in rows] for each, rows in found.items()}

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return self._reading.same(field, sent, held)

    @property
    def _room(self) -> int:
        """Bytes of a query in a URL."""
        return LONGEST_URL - len(str(self.client.base_url)) - len(f"{self._root}/query?q=")

    async def _select(self, external_ids: Sequence[str], more: Sequence[str] = ()) -> dict[str, list[dict[str, Any]]]:
        """The rows that carry each external id."""
        found: dict[str, list[dict[str, Any]]] = {each: [] for each in external_ids}
        asked = {self._fold(each): each for each in external_ids}
        for soql in salesforce_soql.queries(self.target, external_ids, self._room, more):
            async for row in self._rows(soql):
                if each := asked.get(self._fold(plain_text(row[self.target.external_id]))):
                    found[each].append(row)
        return found

    async def _by_id(self, ids: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
        for soql in salesforce_soql.queries(self.target, ids, self._room, self._reading.columns, key="Id"):
            async for row in self._rows(soql):
                yield row

    async def _rows(self, soql: str) -> AsyncIterator[dict[str, Any]]:
        """The rows of all pages of a query's answer."""
        try:
            answer = await self._get("/query", q=soql)
        except RequestRejected as error:
            raise of_the_target(error) from error
        while True:
            if not isinstance(answer, dict) or "records" not in answer:
                raise RetryLater("the answer to a query has no records")  # which says nothing of who is there
            for row in answer["records"]:
                yield row
            if answer["done"]:
                return
            answer = await self._get(f"/query/{answer['nextRecordsUrl'].partition('/query/')[2]}")

    def _fold(self, key: str) -> str:
        return salesforce_soql.comparable(self.target, key, case_sensitive=self.options.case_sensitive_key)

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
        job = {
            "object": self.target.object,
            "operation": batch.operation.value,
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        }
        if batch.operation is Operation.UPSERT:
            job["externalIdFieldName"] = self.target.external_id
        try:
            answer = decode_json(await self.exchange(self._job_request("POST", "", job)))
        except RequestRejected as error:
            raise of_the_target(error) from error
        return str(answer["id"])

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        body = salesforce_bulk.encode_csv(self.target, batch, self._convert, self._parents, self._unfit)
        headers = {"Content-Type": "text/csv; charset=UTF-8"}
        path = f"{self._root}/jobs/ingest/{job_id}/batches"
        await self.exchange(self.client.build_request("PUT", path, content=body, headers=headers))
        await self.exchange(self._job_request("PATCH", f"/{job_id}", {"state": "UploadComplete"}))

    async def poll(self, job_id: str) -> JobState:
        try:
            job = await self._get(f"/jobs/ingest/{job_id}")
        except RequestRejected as error:
            if error.code == "NOT_FOUND":  # jobs are kept for 7 days
                return JobState.GONE
            raise
        return _JOB_STATES.get(job["state"], JobState.DONE)

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        job = await self._get(f"/jobs/ingest/{job_id}")
        answer = salesforce_bulk.JobAnswer(
            state=job["state"],
            message=job.get("errorMessage") or "",
            processed=job.get("numberRecordsProcessed") or 0,
            successful=await self._results(job_id, "successfulResults"),
            failed=await self._results(job_id, "failedResults"),
            unprocessed=await self._results(job_id, "unprocessedrecords"),
        )
        return list(salesforce_bulk.job_outcomes(self.target, batch, answer, self._fold, self._learned, self._unfit))

    async def _results(self, job_id: str, which: str) -> str:
        request = self.client.build_request("GET", f"{self._root}/jobs/ingest/{job_id}/{which}")
        request.headers["Accept"] = "text/csv"
        return (await self.read(request)).text

    def _job_request(self, method: str, path: str, body: Mapping[str, Any]) -> httpx.Request:
        headers = {"Content-Type": "application/json"}
        return self.client.build_request(
            method, f"{self._root}/jobs/ingest{path}", content=encode_json(body), headers=headers
        )


def _id(record: Record) -> str:
    if record.destination_id is None:
        raise ContractViolation(f"row {record.key} has no Id: it has to be found first")
    return record.destination_id
