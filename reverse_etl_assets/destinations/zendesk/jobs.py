"""The name of a job in the journal: Zendesk's number of it, and the places of the rows that it was not given.

Results are matched by their order, so a run that collects what another one sent has to know which rows were left out.
"""

from collections.abc import Sequence

from reverse_etl_assets.records import Batch, Record

_BEHIND = ";"


def job_name(number: str, left_out: Sequence[int]) -> str:
    """`8b72...;3,17`: the fourth and the eighteenth row of the batch were not sent."""
    return f"{number}{_BEHIND}{','.join(map(str, left_out))}" if left_out else number


def number(job_id: str) -> str:
    """Zendesk's number of the job; empty if there was nothing to send."""
    return job_id.partition(_BEHIND)[0]


def divided(batch: Batch, job_id: str) -> tuple[list[Record], list[Record]]:
    """The rows that the job has, in their order, and those that it was not given."""
    places = {int(place) for place in job_id.partition(_BEHIND)[2].split(",") if place}
    rows: tuple[list[Record], list[Record]] = [], []
    for at, record in enumerate(batch.records):
        rows[at in places].append(record)
    return rows
