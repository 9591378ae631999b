"""Jobs of Bulk API 2.0: opened, filled, looked after and read."""

from reverse_etl_assets.destinations.base import JobState, decode_json
from reverse_etl_assets.destinations.salesforce.answers import of_the_target
from reverse_etl_assets.destinations.salesforce.api import Api
from reverse_etl_assets.destinations.salesforce.bulk import JobAnswer
from reverse_etl_assets.errors import RequestRejected
from reverse_etl_assets.records import Operation, Target

_STATES = {"Open": JobState.OPEN, "UploadComplete": JobState.RUNNING, "InProgress": JobState.RUNNING}
_CSV = {"Content-Type": "text/csv; charset=UTF-8"}
_JOBS = "/jobs/ingest"


class Jobs:
    def __init__(self, api: Api) -> None:
        self._api = api

    async def open(self, target: Target, operation: Operation) -> str:
        job = {
            "object": target.object,
            "operation": operation.value,
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        }
        if operation is Operation.UPSERT:
            job["externalIdFieldName"] = target.external_id
        try:
            answer = decode_json(await self._api.write("POST", _JOBS, job))
        except RequestRejected as error:
            raise of_the_target(error) from error
        return str(answer["id"])

    async def upload(self, job_id: str, rows: bytes) -> None:
        await self._api.write_as("PUT", f"{_JOBS}/{job_id}/batches", rows, _CSV)
        await self._api.write("PATCH", f"{_JOBS}/{job_id}", {"state": "UploadComplete"})

    async def state(self, job_id: str) -> JobState:
        try:
            job = await self._api.get(f"{_JOBS}/{job_id}")
        except RequestRejected as error:
            if error.code == "NOT_FOUND":  # jobs are kept for 7 days
                return JobState.GONE
            raise
        return _STATES.get(job["state"], JobState.DONE)

    async def answer(self, job_id: str) -> JobAnswer:
        job = await self._api.get(f"{_JOBS}/{job_id}")
        return JobAnswer(
            state=job["state"],
            message=job.get("errorMessage") or "",
            processed=job.get("numberRecordsProcessed") or 0,
            successful=await self._results(job_id, "successfulResults"),
            failed=await self._results(job_id, "failedResults"),
            unprocessed=await self._results(job_id, "unprocessedrecords"),
        )

    async def _results(self, job_id: str, which: str) -> str:
        return await self._api.text(f"{_JOBS}/{job_id}/{which}", "text/csv")
