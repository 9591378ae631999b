"""Field rules: what of a row goes out, given what its record holds now. Pure: row and record in, verdict out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from reverse_etl_assets.delivery.addressing import not_addressable
from reverse_etl_assets.delivery.guarding import comparing
from reverse_etl_assets.destinations.base import ReadsRecords, encode_json
from reverse_etl_assets.errors import GarbledAnswer
from reverse_etl_assets.journal.packing import escaped
from reverse_etl_assets.journal.records import Conflict, Note
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Current, Operation, Outcome, Reason, RowError, Status
from reverse_etl_assets.spec.mapped_field import IfNull, MappedField, Wins
from reverse_etl_assets.state.outbox import OutboxRow

_DESTINATION, _WAREHOUSE = "destination", "warehouse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a row once its record has been read: the row to send, or the outcome of one that is not sent."""

    row: OutboxRow
    outcome: Outcome | None = None


class FieldRules:
    """A sync's rules. `kept` holds our last write of each field that the destination won, by key and field."""

    def __init__(
        self,
        mapping: Mapping[str, MappedField],
        destination: ReadsRecords,
        *,
        partial: frozenset[Operation],
        kept: Mapping[str, Mapping[str, Any]],
        mask: Mask | None = None,
        puts_back: bool = False,
    ) -> None:
        self._mapping = mapping
        self._same = comparing(destination.same, type(destination).__name__)
        self._partial = partial
        self._kept = kept
        self._mask = mask or Mask()
        self._puts_back = puts_back

    def asks_for(self, row: OutboxRow) -> str | None:
        """The id of a record that was deleted and is to be brought back."""
        made_again = self._puts_back and row.operation is Operation.UPSERT and row.base is None
        return row.record.destination_id if made_again else None

    def judge(self, row: OutboxRow, found: Sequence[Current], *, is_back: bool = False) -> Verdict:
        """`puts_back` is undo: then a record is written only if it still holds what the undone run left.

        `is_back` is a record that has just come back from where the destination keeps deleted ones. A record that the
        destination's code cannot compare is left alone, and takes no other row with it.
        """
        try:
            return self._judged(row, found, is_back)
        except GarbledAnswer as error:
            outcome = Outcome(row.record.key, Status.FAILED, Reason.UNAVAILABLE, RowError(str(error)))
            return Verdict(replace(row, note=Note(row.number, read=True)), outcome)

    def _judged(self, row: OutboxRow, found: Sequence[Current], is_back: bool) -> Verdict:
        note = Note(row.number, read=True)
        if len(found) > 1 or (not found and row.operation in (Operation.UPDATE, Operation.DELETE)):
            return Verdict(replace(row, note=note), not_addressable(row, [each.destination_id for each in found]))
        if not found:
            return Verdict(_in_full(row, note))
        (current,) = found
        if self._puts_back and not is_back and (edited := self._edited(row, current)):
            return Verdict(replace(row, note=note), self._skipped(row, Reason.EDITED, edited))
        row = replace(row, record=replace(row.record, destination_id=current.destination_id))
        if row.operation is Operation.DELETE:
            note = Note(row.number, read=True, before=_json(current.fields))
            return Verdict(replace(row, note=note, external_ids=current.external_ids))
        return self._write(row, current, is_back)

    def _write(self, row: OutboxRow, current: Current, is_back: bool) -> Verdict:
        differing = {f: v for f, v in row.record.fields.items() if not self._same(f, v, current.fields.get(f))}
        conflicts = [c for f, ours in differing.items() if (c := self._conflict(row, f, ours, current))]
        kept = {conflict.field for conflict in conflicts if conflict.winner == _DESTINATION}
        fields = {field: value for field, value in differing.items() if field not in kept}
        before = _json({field: current.fields.get(field) for field in fields})
        note = Note(row.number, read=True, before=before, sent=list(fields), conflicts=conflicts or None)
        if not fields and kept:
            why = "; ".join(f"`{c.field}` stays {self._shown(c.field, current)}: {c.why}" for c in conflicts)
            return Verdict(replace(row, note=note), self._skipped(row, Reason.KEPT, why))
        if not fields and is_back:
            remark = RowError("the deleted record was brought back, with its id and all that it had")
            back = Outcome(row.record.key, Status.CREATED, error=remark, destination_id=current.destination_id)
            return Verdict(replace(row, note=note), back)
        if not fields:
            message = "the record holds these values already"
            return Verdict(replace(row, note=note), self._skipped(row, Reason.SAME, message))
        if row.operation not in self._partial:  # what is not to change goes out as it is
            full = {**current.fields, **fields} if self._puts_back else row.full or row.record.fields
            ours = row.record.fields.keys() - kept
            fields = {f: v if f in ours else current.fields.get(f) for f, v in full.items()}
        return Verdict(replace(row, record=replace(row.record, fields=fields), note=note, full=None))

    def _conflict(self, row: OutboxRow, field: str, ours: Any, current: Current) -> Conflict | None:
        """The destination's value stands against ours: who wins, by the field's rule."""
        rule, theirs = self._mapping[field].wins, current.fields.get(field)
        if self._puts_back or rule is Wins.WAREHOUSE or theirs is None or theirs == "":
            return None
        base = self._base(row, field)
        if rule is not Wins.DESTINATION and base is not None and self._same(field, base, theirs):
            return None  # nobody touched it since our last write
        winner, why = _decide(rule, row.row_time, current.changed_at, written=self._written(row, field))
        return Conflict(field, rule.value, _json(base), _json(ours), _json(theirs), winner, why)

    def _written(self, row: OutboxRow, field: str) -> bool:
        return field in (row.base or {}) or field in self._kept.get(row.record.key, {})

    def _base(self, row: OutboxRow, field: str) -> Any:
        """Our last write; None if we never wrote the field, or cleared it."""
        kept = self._kept.get(row.record.key, {})
        return kept[field] if field in kept else (row.base or {}).get(field)

    def _edited(self, row: OutboxRow, current: Current) -> str:
        """What somebody did to the record after the run that is being undone; empty if nothing.

        A field that holds already what is to be put back was not changed: an earlier undo got that far.
        """
        if row.record.destination_id not in (None, current.destination_id):
            return f"another record ({current.destination_id}) carries this key since"
        names = [f for f, left in self._left(row).items() if not self._same(f, left, current.fields.get(f))]
        wanted = row.record.fields
        names = [f for f in names if f not in wanted or not self._same(f, wanted[f], current.fields.get(f))]
        if names and row.base is None:
            return "somebody made a record with this key since"
        edited = [f"`{name}` (now {self._shown(name, current)})" for name in names]
        return f"somebody changed {', '.join(edited)} since" if names else ""

    def _left(self, row: OutboxRow) -> Mapping[str, Any]:
        """What the undone run left in the fields that it wrote."""
        base = row.base or {}
        if row.operation is not Operation.DELETE:
            return {field: base.get(field) for field in row.record.fields}
        keeps = {field for field, source in self._mapping.items() if source.null is IfNull.KEEP}
        return {field: left for field, left in base.items() if left is not None or field not in keeps}

    def _shown(self, field: str, current: Current) -> str:
        return repr(self._mask.value(field, current.fields.get(field)))

    def _skipped(self, row: OutboxRow, reason: Reason, message: str) -> Outcome:
        return Outcome.skipped(row.record.key, reason, message, row.record.destination_id)


def _decide(rule: Wins, ours_at: datetime | None, theirs_at: datetime | None, *, written: bool) -> tuple[str, str]:
    if rule is Wins.DESTINATION:
        return _DESTINATION, "the destination has a value, and only empty fields are filled"
    if rule is Wins.UNLESS_EDITED:
        since = "somebody changed it since our last write" if written else "it was there before our first write"
        return _DESTINATION, since
    if ours_at is None or theirs_at is None:
        side = "the row" if ours_at is None else "the record"
        return _DESTINATION, f"{side} does not say when it was changed"
    ours_at = ours_at.replace(tzinfo=UTC) if ours_at.tzinfo is None else ours_at
    newer, older = ("row", "record") if ours_at > theirs_at else ("record", "row")
    times = {"row": ours_at, "record": theirs_at}
    why = f"the {newer} was changed later ({_moment(times[newer])}) than the {older} ({_moment(times[older])})"
    return (_WAREHOUSE if newer == "row" else _DESTINATION), why


def _in_full(row: OutboxRow, note: Note) -> OutboxRow:
    """No record was read: all fields go out, not only those that changed, to the id that is known if there is one.

    The destination says if that record is gone.
    """
    fields = row.record.fields if row.full is None else row.full
    return replace(row, record=replace(row.record, fields=fields), full=None, note=note)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _json(value: Any) -> str:
    return escaped(encode_json(value).decode())
