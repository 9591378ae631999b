"""What a run leaves in the journal, without a run: batches with numbers of the test's choice, results of dbt tests."""

import asyncio
from collections.abc import Mapping, Sequence

from reverse_etl_assets.journal import Answer, Intent, Journal, ModelResult, batches
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.records import Operation


def begin(journal: Journal, run_id: str, intents: Sequence[Intent]) -> None:
    with journal.database.writing() as connection:
        batches.write_intents(connection, run_id, intents, journal.clock())


def keep_job(journal: Journal, run_id: str, number: int, job: str) -> None:
    with journal.database.writing() as connection:
        batches.write_jobs(connection, run_id, {number: job})


def answer(journal: Journal, run_id: str, answers: Mapping[int, Sequence[Answer]]) -> None:
    with journal.database.writing() as connection:
        batches.write_answers(connection, run_id, answers, journal.clock())


def begin_next(journal: Journal, run_id: str, rows: Sequence[int]) -> int:
    """As a run of `contacts` does that sends to `crm`; returns the batch's number."""

    async def begin_one() -> int:
        async with JournalWriter(journal, run_id, "crm", "contacts") as writer:
            return await writer.begin(Operation.UPSERT, rows)

    return asyncio.run(begin_one())


def record_model_results(journal: Journal, model: str, results: Mapping[str, str]) -> None:
    """What dbt's tests of a model say now, by name of the test."""
    now = journal.clock()
    journal.hear_model_results({model: [ModelResult(test, status, now) for test, status in results.items()]})
