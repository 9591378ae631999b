"""Bulk API 2.0 ingest jobs. A job runs when it is closed; polls say InProgress before they say JobComplete.

Source: Bulk API 2.0 and Bulk API Developer Guide (jobs, valid CSV, limits: 150 MB of base64-encoded data a job).
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reverse_etl_sandbox.faults import lost, omitted
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.salesforce.describe import relationship
from reverse_etl_sandbox.salesforce.ids import record_id
from reverse_etl_sandbox.salesforce.records import Records, Saved
from reverse_etl_sandbox.salesforce.requests import body_object, failure, not_found, refuse_by_fault
from reverse_etl_sandbox.salesforce.schema import OBJECTS, Field, ObjectType
from reverse_etl_sandbox.salesforce.values import RowError, from_csv, show_moment
from reverse_etl_sandbox.store import fold
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

ROWS_PER_BATCH = 10_000
OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
TERMINAL = ("JobComplete", "Failed", "Aborted")
Cells = list[str]


@dataclass(slots=True)
class Job:
    id: str
    kind: ObjectType
    operation: str
    key: Field | None
    delimiter: str
    ending: str
    version: str
    created: str
    state: str = "Open"
    data: bytes | None = None
    polls_left: int = 0
    error: str = ""
    header: Cells = field(default_factory=list)
    successful: list[Cells] = field(default_factory=list)
    failed: list[Cells] = field(default_factory=list)
    unprocessed: list[Cells] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.kind.name,
            "createdById": "0055g000000sandboxAAA",
            "createdDate": self.created,
            "systemModstamp": self.created,
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": self.ending,
            "columnDelimiter": self.delimiter,
        }
        return told | {"externalIdFieldName": self.key.name} if self.key else told

    def as_polled(self) -> dict[str, Any]:
        done = self.state in TERMINAL
        told = self.as_json() | {
            "jobType": "V2Ingest",
            "numberRecordsProcessed": len(self.successful) + len(self.failed) if done else 0,
            "numberRecordsFailed": len(self.failed) if done else 0,
            "retries": 0,
            "totalProcessingTime": 0,
            "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }
        return told | {"errorMessage": self.error} if self.error else told


class BulkJobs:
    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records
        self.jobs: dict[str, Job] = {}

    def routes(self, root: str) -> list[tuple[str, str, Handler]]:
        one = f"{root}/{{id}}"
        return [
            ("POST", root, self._create),
            ("GET", root, self._list),
            ("GET", one, self._poll),
            ("PATCH", one, self._change),
            ("DELETE", one, self._delete),
            ("PUT", f"{one}/batches", self._upload),
            ("GET", f"{one}/{{results:successfulResults|failedResults|unprocessed[rR]ecords}}", self._results),
        ]

    def batches(self) -> int:
        """Batches used: one per 10,000 rows."""
        sizes = [len(job.successful) + len(job.failed) for job in self.jobs.values()]
        return sum(-(-size // ROWS_PER_BATCH) for size in sizes)

    def _create(self, call: Call) -> Answer:
        body = body_object(call)
        kind = OBJECTS.get(str(body.get("object")))
        if kind is None:
            raise Refused(failure(400, "INVALIDENTITY", f"Object {body.get('object')} is not supported"))
        operation = str(body.get("operation"))
        call.note(f"bulk {operation}", kind.name)
        _one_of("operation", operation, OPERATIONS)
        _one_of("contentType", str(body.get("contentType", "CSV")), ("CSV",))
        _one_of("columnDelimiter", str(body.get("columnDelimiter", "COMMA")), DELIMITERS)
        _one_of("lineEnding", str(body.get("lineEnding", "LF")), ENDINGS)
        job = Job(
            id=record_id("750", len(self.jobs) + 1),
            kind=kind,
            operation=operation,
            key=_key(kind, operation, body.get("externalIdFieldName")),
            delimiter=str(body.get("columnDelimiter", "COMMA")),
            ending=str(body.get("lineEnding", "LF")),
            version=call.params["version"],
            created=show_moment(datetime.fromtimestamp(self._context.clock(), UTC)),
        )
        self.jobs[job.id] = job
        url = f"services/data/v{job.version}/jobs/ingest/{job.id}/batches"
        return Answer(200, job.as_json() | {"contentUrl": url})

    def _upload(self, call: Call) -> Answer:
        job = self._job(call, "bulk upload")
        if not call.headers.get("content-type", "").startswith("text/csv"):
            raise Refused(failure(400, "INVALIDJOB", "Content-Type must be text/csv"))
        if job.state != "Open" or job.data is not None:
            raise Refused(failure(400, "INVALIDJOBSTATE", "Data can be uploaded once, while the job is Open"))
        if -(-len(call.body) // 3) * 4 > self._context.settings.salesforce_bulk_bytes:
            raise Refused(failure(413, "EXCEEDEDQUOTA", "The data is too large after base64 encoding"))
        job.data = call.body
        return Answer(201)

    def _change(self, call: Call) -> Answer:
        job = self._job(call, "bulk close")
        state = body_object(call).get("state")
        if state not in ("UploadComplete", "Aborted"):
            raise Refused(failure(400, "INVALIDJOBSTATE", "state must be UploadComplete or Aborted"))
        if job.state in TERMINAL or (state == "UploadComplete" and job.state != "Open"):
            raise Refused(failure(400, "INVALIDJOBSTATE", f"A job in state {job.state} cannot become {state}"))
        if state == "UploadComplete" and job.data is None:
            raise Refused(failure(400, "INVALIDJOBSTATE", "No data was uploaded"))
        job.state = state
        job.polls_left = self._context.settings.salesforce_bulk_polls
        if state == "UploadComplete":
            self._run(job, call)
            call.rows = len(job.successful) + len(job.failed)
        return Answer(200, job.as_json())

    def _poll(self, call: Call) -> Answer:
        job = self._job(call, "bulk poll")
        if job.state in ("UploadComplete", "InProgress"):
            job.state = "InProgress" if job.polls_left > 0 else "Failed" if job.error else "JobComplete"
            job.polls_left -= 1
        return Answer(200, job.as_polled())

    def _list(self, call: Call) -> Answer:
        call.note("bulk poll")
        return Answer(200, {"done": True, "records": [job.as_polled() for job in self.jobs.values()]})

    def _delete(self, call: Call) -> Answer:
        job = self._job(call, "bulk delete job")
        if job.state not in TERMINAL:
            raise Refused(failure(400, "INVALIDJOBSTATE", "Only a finished job can be deleted"))
        del self.jobs[job.id]
        return Answer(204)

    def _results(self, call: Call) -> Answer:
        job = self._job(call, "bulk results")
        if job.state not in TERMINAL:
            raise Refused(failure(400, "INVALIDJOBSTATE", "The job is still being processed"))
        wanted = call.params["results"].lower()
        header, rows = {
            "successfulresults": (["sf__Id", "sf__Created", *job.header], job.successful),
            "failedresults": (["sf__Id", "sf__Error", *job.header], job.failed),
            "unprocessedrecords": (job.header, job.unprocessed),
        }[wanted]
        # The API promises no order.
        seed = f"{self._context.settings.seed}{job.id}{wanted}"
        shuffled = random.Random(seed).sample(rows, len(rows))  # noqa: S311 - an order, no secret
        text = io.StringIO()
        writer = csv.writer(text, delimiter=DELIMITERS[job.delimiter], lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerows([header, *shuffled])
        headers = {"Sforce-NumberOfRecords": str(len(rows)), "Sforce-Locator": "null"}
        return Answer(200, text.getvalue().encode(), headers, media="text/csv")

    def _job(self, call: Call, operation: str) -> Job:
        job = self.jobs.get(call.params["id"])
        if job is None:
            raise Refused(not_found())
        call.note(operation, job.kind.name)
        return job

    def _run(self, job: Job, call: Call) -> None:
        try:
            text = (job.data or b"").decode("utf-8-sig")
        except UnicodeDecodeError:
            job.error = "InvalidBatch : The data is not valid UTF-8"
            return
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter], strict=True)
        try:
            job.header = next(reader, [])
            rows = [row for row in reader if row]
        except csv.Error as error:
            job.error = f"InvalidBatch : Failed to parse CSV: {error}"
            return
        job.error = _header_error(job, text)
        if job.error:
            job.unprocessed = rows
            return
        key = job.key.name.casefold() if job.key else "id"
        place = next((index for index, name in enumerate(job.header) if name.casefold() == key), -1)
        keys = [row[place] if 0 <= place < len(row) else "" for row in rows]
        twice = {value for value, count in Counter(map(fold, keys)).items() if count > 1 and value}
        faults = self._context.faults.for_rows("salesforce", call.method, call.path)
        for row, value in zip(rows, keys, strict=True):
            try:
                if len(row) != len(job.header):
                    raise RowError("INVALID_FIELD", "The row does not have as many columns as the header")
                if fold(value) in twice:
                    raise RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}")
                refuse_by_fault(faults, value)
                saved = self._write(job, row)
            except RowError as error:
                self._records.tables[job.kind.name].counters.refused += 1
                told = f"{error.code}:{error.message}:{','.join(error.fields)} --"
                known = value if key == "id" else ""
                job.failed.append([known, told, *row])
                continue
            if lost(faults, value):
                saved.undo()
            if not omitted(faults, value):
                job.successful.append([saved.entry.id, "true" if saved.created else "false", *row])

    def _write(self, job: Job, row: Cells) -> Saved:
        self._records.saves_duplicates = False
        # An empty cell leaves the field as it is.
        given: dict[str, Any] = {}
        for name, cell in zip(job.header, row, strict=True):
            if cell == "":
                continue
            parent, _, parent_key = name.partition(".")
            given[parent] = {parent_key: cell} if parent_key else cell
        if job.operation == "insert":
            return self._records.insert(job.kind, given, from_csv)
        if job.operation == "upsert" and job.key is not None:
            return self._records.upsert(job.kind, job.key, given, from_csv)
        ids = [value for name, value in given.items() if name.casefold() == "id"]
        if not ids:
            raise RowError("MISSING_ARGUMENT", "Id not specified")
        if job.operation == "update":
            rest = {name: value for name, value in given.items() if name.casefold() != "id"}
            return self._records.update(job.kind, self._records.by_id(job.kind, ids[0]), rest, from_csv)
        saved = self._records.delete(job.kind, ids[0])
        if job.operation == "hardDelete":
            self._records.tables[job.kind.name].purge(saved.entry)
        return saved


def _one_of(name: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        raise Refused(failure(400, "INVALIDJOB", f"{name} must be one of {', '.join(allowed)}, got {value}"))


def _key(kind: ObjectType, operation: str, name: Any) -> Field | None:
    if operation != "upsert":
        return None
    part = kind.field(str(name)) if name else None
    if part is None or not (part.external_id or part.id_lookup):
        raise Refused(failure(400, "INVALIDJOB", f"externalIdFieldName {name} is not an external id of {kind.name}"))
    return part


def _header_error(job: Job, text: str) -> str:
    """Why the whole job fails; empty if the header is right."""
    first_line = text.split("\n", 1)[0]
    if first_line.endswith("\r") is not (job.ending == "CRLF") and "\n" in text:
        return f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {job.ending}"
    parents = {relationship(part).casefold() for part in job.kind.fields if part.refers_to}
    for name in job.header:
        parent, _, parent_key = name.partition(".")
        if job.kind.field(name) is None and not (parent_key and parent.casefold() in parents):
            return f"InvalidBatch : Field name not found : {name}"
    wanted = job.key.name if job.key else "Id" if job.operation != "insert" else ""
    if wanted and wanted.casefold() not in {name.casefold() for name in job.header}:
        return f"InvalidBatch : Field name not found : {wanted}"
    if job.operation in ("delete", "hardDelete") and len(job.header) != 1:
        return "InvalidBatch : The 'delete' batch must contain only ids"
    return ""
