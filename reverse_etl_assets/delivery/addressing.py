"""Which record a row means, for operations that address records by the destination's own id."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reverse_etl_assets.delivery.feed import WorkItem
from reverse_etl_assets.records import AMBIGUOUS_KEY, Capabilities, Operation, Outcome, Reason, RowError
from reverse_etl_assets.state.outbox import OutboxRow


def to_look_up(work: WorkItem) -> list[str]:
    """External ids whose records have to be found first. An id that is known goes along: see `addressed`."""
    return [row.record.external_id for row in work.rows if _unknown(row)]


def known_ids(rows: Sequence[OutboxRow], capabilities: Capabilities) -> dict[str, str]:
    """The ids that are known, by external id, of rows that a destination addresses by id if it knows one.

    Where a write is matched by its key, what carries the key is the record that the write will meet, and no other.
    """
    by_id = capabilities.needs_id | {Operation.UPDATE, Operation.DELETE}
    return {
        r.record.external_id: r.record.destination_id for r in rows if r.record.destination_id and r.operation in by_id
    }


def addressed(
    work: WorkItem, found: Mapping[str, Sequence[str]]
) -> tuple[list[OutboxRow], list[tuple[OutboxRow, Outcome]]]:
    """Rows with one record each, or with none to be made, and the outcome of those that cannot be addressed.

    A row whose key finds nothing is sent to the id that is known of it: a search may lag behind, and a record may have
    got another key. If that record is gone, the destination says so.
    """
    rows: list[OutboxRow] = []
    outcomes: list[tuple[OutboxRow, Outcome]] = []
    for row in work.rows:
        known = [row.record.destination_id] if row.record.destination_id else []
        ids = (found.get(row.record.external_id) or known) if _unknown(row) else known
        if len(ids) == 1:
            rows.append(replace(row, record=replace(row.record, destination_id=ids[0])))
        elif not ids and row.operation is Operation.UPSERT:
            rows.append(replace(row, record=replace(row.record, fields=row.full or row.record.fields), full=None))
        else:
            outcomes.append((row, not_addressable(row, [str(i) for i in ids])))
    return rows, outcomes


def _unknown(row: OutboxRow) -> bool:
    # A stored id may be that of a record that was deleted and made anew, or merged into another one.
    return row.operation in (Operation.UPDATE, Operation.DELETE) or row.record.destination_id is None


def not_addressable(row: OutboxRow, ids: Sequence[str]) -> Outcome:
    """The outcome of a row whose key belongs to no record, or to several: nobody may guess which is meant."""
    key = row.record.key
    if ids:
        message = f"{len(ids)} records carry this key: {', '.join(ids[:5])}"
        return Outcome.rejected(key, RowError(message, AMBIGUOUS_KEY))
    if row.operation is Operation.DELETE:
        return Outcome.skipped(key, Reason.ALREADY_GONE, "there is no record with this key any more")
    return Outcome.skipped(key, Reason.NOT_FOUND, "there is no record with this key")
