"""Zendesk's jobs: what is written when one is opened is told once it has been polled often enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reverse_etl_sandbox.faults import Fault, lost, omitted
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.wire import Answer, Call
from reverse_etl_sandbox.zendesk.records import Kind, RowRefused, Values, Written
from reverse_etl_sandbox.zendesk.requests import MOST_ROWS, failure, listed, refuse_by_fault

ABANDONED = 60.0  # seconds after which a job that nobody polled is done
Row = tuple[str, Callable[[], Written]]


@dataclass(slots=True)
class Job:
    id: str
    type: str
    total: int
    since: float
    polls_left: int
    results: list[Values]

    def as_json(self, base_url: str) -> Values:
        done = self.polls_left <= 0
        return {
            "id": self.id,
            "job_type": self.type,
            "url": f"{base_url}/api/v2/job_statuses/{self.id}.json",
            "total": self.total,
            "progress": self.total if done else None,
            "status": "completed" if done else "working",
            "message": "Completed" if done else None,
            "results": self.results if done else None,
        }


class Jobs:
    """The account's jobs, and how many of them may be open."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.jobs: dict[str, Job] = {}
        self._numbers = 0

    def open(self, call: Call, kind: Kind, action: str, rows: Sequence[Row]) -> Answer:
        now = self._context.clock()
        for job in self.jobs.values():
            if now - job.since > ABANDONED:
                job.polls_left = 0
        if sum(job.polls_left > 0 for job in self.jobs.values()) >= self._context.settings.zendesk_open_jobs:
            call.limit = "jobs"
            return failure(429, "TooManyJobs", "The number of jobs that are queued or running is at its limit")
        if not 0 < len(rows) <= MOST_ROWS:
            return failure(400, "BadRequest", f"{kind.name}: from 1 to {MOST_ROWS} in one request")
        call.rows = len(rows)
        faults = self._context.faults.for_rows("zendesk", call.method, call.path)
        told = [self._result(kind, action, at, *row, faults) for at, row in enumerate(rows)]
        results = [result for result, (key, _) in zip(told, rows, strict=True) if not omitted(faults, key)]
        self._numbers += 1
        number, polls = f"{self._numbers:032x}", self._context.settings.zendesk_job_polls
        job = Job(number, f"Bulk {action} {kind.one}", len(rows), now, polls, results)
        self.jobs[job.id] = job
        return Answer(200, {"job_status": job.as_json(call.base_url) | {"status": "queued", "results": None}})

    def _result(
        self, kind: Kind, action: str, at: int, key: str, write: Callable[[], Any], faults: list[Fault]
    ) -> Values:
        by_id = {} if action == "create_or_update" else {"index": at, "action": action}
        try:
            refuse_by_fault(faults, key)
            entry, said, undo = write()
        except RowRefused as refused:
            kind.table.counters.refused += 1
            code = f"{kind.one.title()}UpdateError" if not by_id else refused.code
            failed = {"id": int(key) if by_id else at, "error": code, "details": refused.message, "status": "Failed"}
            return failed | ({**by_id, "success": False} if by_id else {})
        if lost(faults, key):
            undo()
        result = {"id": int(entry.id), "status": said}
        return result | ({**by_id, "success": True} if by_id else {"email": entry.values.get("email")})

    def poll(self, call: Call) -> Answer:
        call.note("poll")
        job = self.jobs.get(call.params["id"])
        if job is None:
            return failure(404, "RecordNotFound", "Not found")
        told = job.as_json(call.base_url)
        job.polls_left -= 1
        return Answer(200, {"job_status": told})

    def poll_many(self, call: Call) -> Answer:
        call.note("poll")
        known = [self.jobs[each] for each in listed(call.args(), "ids") if each in self.jobs]
        told = [job.as_json(call.base_url) for job in known]
        for job in known:
            job.polls_left -= 1
        return Answer(200, {"job_statuses": told})
