"""Bulk API 2.0: one test for each rule, on plain HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reverse_etl_sandbox import Sandbox

CSV = {"Content-Type": "text/csv"}


class Job:
    """An ingest job as a client drives it."""

    def __init__(self, http: httpx.Client, **options: Any) -> None:
        asked = {"object": "Contact", "operation": "upsert", "externalIdFieldName": "External_Id__c"} | options
        self.made = http.post("/jobs/ingest", json=asked)
        self.http = http
        self.url = f"/jobs/ingest/{self.made.json()['id']}" if self.made.is_success else ""

    def upload(self, data: Any) -> httpx.Response:
        return self.http.put(f"{self.url}/batches", content=data, headers=CSV)

    def close(self, state: str = "UploadComplete") -> httpx.Response:
        return self.http.patch(self.url, json={"state": state})

    def poll(self) -> dict[str, Any]:
        told: dict[str, Any] = self.http.get(self.url).json()
        return told

    def run(self, data: Any) -> dict[str, Any]:
        assert self.upload(data).status_code == 201
        assert self.close().status_code == 200
        while (told := self.poll())["state"] in ("UploadComplete", "InProgress"):
            pass
        return told

    def rows(self, which: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.http.get(f"{self.url}/{which}").text)))


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def test_the_life_of_a_job(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_bulk_polls": 2})
    job = Job(salesforce_http)
    told = job.made.json()
    assert told["state"] == "Open"
    assert told["contentUrl"] == f"services/data/v60.0/jobs/ingest/{told['id']}/batches"
    assert job.upload("External_Id__c,LastName\n1,A\n").content == b""
    assert job.close().json()["state"] == "UploadComplete"
    assert error(salesforce_http.get(f"{job.url}/successfulResults")) == (400, "INVALIDJOBSTATE")
    assert [job.poll()["state"] for _ in range(3)] == ["InProgress", "InProgress", "JobComplete"]
    done = job.poll()
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (1, 0)
    text = salesforce_http.get(f"{job.url}/successfulResults").text
    assert text.splitlines()[0] == '"sf__Id","sf__Created","External_Id__c","LastName"'
    assert salesforce_http.delete(job.url).status_code == 204
    assert salesforce_http.get(job.url).status_code == 404


def test_an_empty_cell_leaves_and_na_clears(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    Job(salesforce_http).run("External_Id__c,LastName,Phone,Title\n1,A,5,Boss\n")
    done = Job(salesforce_http).run("External_Id__c,LastName,Phone,Title\n1,,,#N/A\n")
    assert done["numberRecordsFailed"] == 0
    values = sandbox.salesforce.tables["Contact"].find("External_Id__c", "1")[0].values
    assert (values["LastName"], values["Phone"], values["Title"]) == ("A", "5", None)


def test_a_chunked_upload_is_read_whole(salesforce_http: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield b"External_Id__c,Las"
        for number in range(100):
            yield b"tName\n" if number == 0 else b""
            yield f'{number},"N ""{number}"", x"\n'.encode()

    job = Job(salesforce_http)
    assert job.run(parts())["numberRecordsProcessed"] == 100
    assert {row["External_Id__c"]: row["LastName"] for row in job.rows("successfulResults")}["7"] == 'N "7", x'


@pytest.mark.parametrize(
    ("name", "cell", "told"),
    [
        ("Last_Order_Date__c", "01/02/2026", "INVALID_FIELD:Failed to deserialize field"),
        ("Orders__c", "many", "INVALID_FIELD:Failed to deserialize field"),
        ("Marketing_Opt_In__c", "yes", "INVALID_FIELD:Failed to deserialize field"),
        ("Segment__c", "x", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:"),
        ("LastName", "#N/A", "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"),
    ],
)
def test_cells_that_are_refused(salesforce_http: httpx.Client, name: str, cell: str, told: str) -> None:
    columns = dict.fromkeys(("External_Id__c", "LastName", name), "1") | {"LastName": "A", name: cell}
    job = Job(salesforce_http)
    done = job.run(f"{','.join(columns)}\n{','.join(columns.values())}\n")
    assert (done["state"], done["numberRecordsFailed"]) == ("JobComplete", 1)
    failed = job.rows("failedResults")[0]
    assert failed["sf__Error"].startswith(told)
    assert (failed["sf__Id"], failed[name]) == ("", cell)


def test_the_same_key_twice_fails_both_rows(salesforce_http: httpx.Client) -> None:
    job = Job(salesforce_http)
    job.run("External_Id__c,LastName\na,X\nA,Y\nb,Z\n")
    assert {row["LastName"] for row in job.rows("failedResults")} == {"X", "Y"}


def test_a_parent_by_its_external_id(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    parent = sandbox.salesforce.add(sandbox.salesforce.tables["Account"], {"Name": "P", "External_Id__c": "p"})
    Job(salesforce_http).run("External_Id__c,LastName,Account.External_Id__c\n1,A,p\n")
    assert sandbox.salesforce.tables["Contact"].live()[0].values["AccountId"] == parent


def test_an_unknown_column_fails_the_job_and_no_row_is_processed(salesforce_http: httpx.Client) -> None:
    job = Job(salesforce_http)
    done = job.run("External_Id__c,Nope__c\n1,A\n2,B\n")
    assert (done["state"], done["errorMessage"]) == ("Failed", "InvalidBatch : Field name not found : Nope__c")
    assert done["numberRecordsProcessed"] == 0
    assert [row["External_Id__c"] for row in job.rows("unprocessedrecords")] in (["1", "2"], ["2", "1"])
    assert job.rows("failedResults") == []


def test_line_ending_and_delimiter_are_as_declared(salesforce_http: httpx.Client) -> None:
    wrong = Job(salesforce_http, lineEnding="CRLF").run("External_Id__c,LastName\n1,A\n")
    assert (wrong["state"], wrong["errorMessage"][:16]) == ("Failed", "ClientInputError")
    job = Job(salesforce_http, lineEnding="CRLF", columnDelimiter="PIPE")
    assert job.run("External_Id__c|LastName\r\n1|A,B\r\n")["numberRecordsProcessed"] == 1


def test_data_above_the_limit_after_base64(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_bulk_bytes": 400})
    assert error(Job(salesforce_http).upload("x" * 301)) == (413, "EXCEEDEDQUOTA")
    assert Job(salesforce_http).upload("x" * 300).status_code == 201


def test_one_upload_while_open(salesforce_http: httpx.Client) -> None:
    job = Job(salesforce_http)
    assert error(job.close()) == (400, "INVALIDJOBSTATE")
    job.upload("External_Id__c,LastName\n1,A\n")
    assert error(job.upload("External_Id__c,LastName\n1,A\n")) == (400, "INVALIDJOBSTATE")
    assert job.close("Aborted").json()["state"] == "Aborted"
    assert error(job.close()) == (400, "INVALIDJOBSTATE")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"object": "Nope"}, "INVALIDENTITY"),
        ({"operation": "merge"}, "INVALIDJOB"),
        ({"externalIdFieldName": "Phone"}, "INVALIDJOB"),
        ({"externalIdFieldName": None}, "INVALIDJOB"),
        ({"lineEnding": "CR"}, "INVALIDJOB"),
        ({"contentType": "JSON"}, "INVALIDJOB"),
    ],
)
def test_jobs_that_are_refused(salesforce_http: httpx.Client, options: dict[str, Any], code: str) -> None:
    assert error(Job(salesforce_http, **options).made) == (400, code)


def test_hard_delete_leaves_nothing(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    made = sandbox.salesforce.add(sandbox.salesforce.tables["Lead"], {"LastName": "A", "Company": "C"})
    job = Job(salesforce_http, object="Lead", operation="hardDelete", externalIdFieldName=None)
    job.run(f"Id\n{made}\n001000000000001AAA\n")
    assert sandbox.salesforce.tables["Lead"].entries == {}
    assert [row["sf__Id"] for row in job.rows("failedResults")] == ["001000000000001AAA"]


def test_rows_refused_by_a_fault(salesforce_http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("lock_rows", vendor="salesforce", percent=100)
    job = Job(salesforce_http)
    assert job.run("External_Id__c,LastName\n1,A\n")["numberRecordsFailed"] == 1
    assert job.rows("failedResults")[0]["sf__Error"].startswith("UNABLE_TO_LOCK_ROW:")
    assert Job(salesforce_http).run("External_Id__c,LastName\n1,A\n")["numberRecordsFailed"] == 0
