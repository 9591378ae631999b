"""Which record a row means, for operations that address records by the destination's own id."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reverse_etl_assets.feed import Work
from reverse_etl_assets.outbox import OutboxRow
from reverse_etl_assets.records import AMBIGUOUS_KEY, Operation, Outcome, Reason, RowError


def to_look_up(work: Work) -> list[str]:
    """External ids whose records have to be found first."""
    return [row.record.external_id for row in work.rows if _unknown(row)]


def addressed(
    work: Work, found: Mapping[str, Sequence[str]]
) -> tuple[list[OutboxRow], list[tuple[OutboxRow, Outcome]]]:
    """Rows with one record each, or with none to be made, and the outcome of those that cannot be addressed."""
    rows: list[OutboxRow] = []
    outcomes: list[tuple[OutboxRow, Outcome]] = []
    for row in work.rows:
        ids = found.get(row.record.external_id, ()) if _unknown(row) else (row.record.destination_id,)
        if len(ids) == 1:
            rows.append(replace(row, record=replace(row.record, destination_id=ids[0])))
        elif not ids and row.operation is Operation.UPSERT:
            rows.append(replace(row, record=replace(row.record, fields=row.full or row.record.fields), full=None))
        else:
            outcomes.append((row, not_addressable(row, [str(i) for i in ids])))
    return rows, outcomes


def _unknown(row: OutboxRow) -> bool:
    # An update always looks: a stored id may be that of a record that was deleted and made anew.
    return row.operation is Operation.UPDATE or row.record.destination_id is None


def not_addressable(row: OutboxRow, ids: Sequence[str]) -> Outcome:
    """The outcome of a row whose key belongs to no record, or to several: nobody may guess which is meant."""
    key = row.record.key
    if ids:
        message = f"{len(ids)} records carry this key: {', '.join(ids[:5])}"
        return Outcome.rejected(key, RowError(message, AMBIGUOUS_KEY))
    if row.operation is Operation.DELETE:
        return Outcome.skipped(key, Reason.ALREADY_GONE, "there is no record with this key any more")
    return Outcome.skipped(key, Reason.NOT_FOUND, "there is no record with this key")
