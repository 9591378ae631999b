"""What sending costs: a first sync, a second one with few changes, the rate used, the journal's share."""

import asyncio
import time
from pathlib import Path
from typing import Any

from benchmarks.setting import FIELDS, account, build_model, change, environment, mark_synced, peak_memory
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Answer
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.records import Operation, Status
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.run import run_sync
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox

LATENCY_MS, BATCH, IN_FLIGHT = 20, 100, 10
CEILING = IN_FLIGHT * BATCH / (LATENCY_MS / 1000)  # rows a second, if nothing but the sink took time


def _sync(destination: str, **settings: Any) -> Sync:
    return Sync.model_validate(
        {
            "sync": "bench",
            "model": "customers",
            "destination": destination,
            "object": "contacts",
            "primary_key": "email",
            "sync_mode": "mirror" if destination == "hubspot" else "incremental",
            "mapping": {"email": "email", **{name: name for name in FIELDS[:7]}},
            **settings,
        }
    )


def first_sync(home: Path, rows: int) -> dict[str, object]:
    """Every row to a sink that takes 20 ms a request, in batches of 100, ten in flight."""
    warehouse = build_model(home, rows, memory_limit="100MB")
    options = {
        "path": "/contacts?key=key",
        "batch_size": BATCH,
        "results": {"match": "key", "path": "results", "status": "status"},
    }
    with Sandbox.spawn(latency_ms=LATENCY_MS, store_records=False) as sink:
        connection = {"base_url": f"{sink.url}/rest", "allow_private": True, "concurrency": IN_FLIGHT}
        env = environment(home, warehouse)
        cpu = time.process_time()
        report = run_sync(_sync("sink", options=options), env, account("sink", "webhook", connection))
        cpu = time.process_time() - cpu
    assert report.counts["created"] == rows, report.counts
    speed = rows / report.seconds
    return {
        "rows": rows,
        "seconds": round(report.seconds, 1),
        "rows/s": round(speed),
        "of the ceiling": f"{100 * speed / CEILING:.0f} %",
        "CPU us/row": round(1e6 * cpu / rows, 1),
        "peak MB": round(peak_memory()),
    }


def delta(home: Path, rows: int, changed: int = 400) -> dict[str, object]:
    """A model of which few rows changed, without any timestamp, to HubSpot."""
    warehouse = build_model(home, rows)
    sync = _sync("hubspot")
    mark_synced(warehouse, sync, fold_case=True)
    change(warehouse, changed, rows)
    with Sandbox.spawn() as sandbox:
        connection = {"base_url": f"{sandbox.url}/hubspot", "access_token": "pat-sandbox"}
        env = environment(home, warehouse)
        report = run_sync(sync, env, account("hubspot", "hubspot", connection))
        writes = [call for call in sandbox.log() if "batch/upsert" in call["path"]]
    return {
        "rows": rows,
        "changed": report.counts["changed"],
        "rows sent": sum(call["rows"] for call in writes),
        "write requests": len(writes),
        "other requests": report.calls - len(writes),
        "seconds": round(report.seconds, 1),
    }


def rate_used(home: Path, rows: int = 60_000) -> dict[str, object]:
    """How much of HubSpot's rate (190 requests in 10 s) a sync with work waiting uses."""
    warehouse = build_model(home, rows)
    with Sandbox.spawn() as sandbox:
        connection = {"base_url": f"{sandbox.url}/hubspot", "access_token": "pat-sandbox"}
        target = account("hubspot", "hubspot", connection)
        report = run_sync(_sync("hubspot"), environment(home, warehouse), target)
        log = [call for call in sandbox.log() if "/batch/" in call["path"]]  # each record is read before it is written
    span = max(call["at"] for call in log) - min(call["at"] for call in log)
    return _rate(report, len(log), span, sum(call["status"] == 429 for call in log))


def _rate(report: Report, requests: int, span: float, refused: int) -> dict[str, object]:
    used = (requests - 1) / span
    return {
        "requests": requests,
        "requests/s": round(used, 2),
        "of 19/s": f"{100 * used / 19:.1f} %",
        "answered 429": refused,
        "failed rows": report.counts["failed"],
    }


def journal_cost(home: Path, batches: int = 2_000) -> dict[str, object]:
    """Intent and answer of a batch of 100, ten callers at once."""
    home.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(f"sqlite:///{home / 'journal.sqlite'}")
    journal.start_run("run", "bench", "sink")

    async def write() -> float:
        async with JournalWriter(journal, "run", "sink", "bench") as writer:
            numbers = iter(range(batches))

            async def caller() -> None:
                for n in numbers:
                    rows = range(n * BATCH, (n + 1) * BATCH)
                    number = await writer.begin(Operation.UPSERT, rows)
                    await writer.answer(
                        number, [Answer(row, Status.CREATED, destination_id=f"id{row}") for row in rows]
                    )

            began = time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
            return time.perf_counter() - began

    seconds = asyncio.run(write())
    return {"batches/s": round(batches / seconds), "us/row": round(1e6 * seconds / (batches * BATCH), 2)}
