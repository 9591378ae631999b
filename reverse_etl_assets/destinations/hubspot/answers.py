"""What HubSpot's answers mean, row by row and for a whole request.

Error bodies and statuses: "Error handling" of HubSpot's developer documentation (2026), which asks to treat every field
as optional.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from reverse_etl_assets.destinations.hubspot.api import names_of
from reverse_etl_assets.destinations.hubspot.lifecycle import Stages
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.destinations.values import key_form, utc_milliseconds
from reverse_etl_assets.errors import RequestRejected, TargetChanged
from reverse_etl_assets.records import Batch, FieldType, Operation, Outcome, Reason, Record, RowError, Status, Target

RETRY_ROW = frozenset({"RATE_LIMITS", "INTERNAL_ERROR"})
NO_PROPERTY = "PROPERTY_DOESNT_EXIST"
IT_WAS_THERE = "it was there at the last check; `reverse-etl check` names what is not"
_NOT_THERE = {Operation.UPDATE: Reason.NOT_FOUND, Operation.DELETE: Reason.ALREADY_GONE}
_INVALID = re.compile(r"Property values were not valid: (\[.*\])", re.DOTALL)
_EXISTING = re.compile(r"Existing ID: (\d+)")


def spelled(target: Target, external_id: str) -> str:
    """A key as the property of its record holds it."""
    return utc_milliseconds(external_id) if target.key_type is FieldType.TIMESTAMP else external_id


class BatchAnswer:
    """What an answer to a batch says of its rows: by our trace id, or by the name that the request gave them.

    Results carry no trace id, and tell only the properties that were written ("Create or update a batch of objects by
    unique property values", 2026-09, read 2026-11-30): so an upsert writes the property it matches by, too. A record
    that is known from earlier names its row as well. Whom an answer does not name is in `unnamed`, and a result that
    names nobody in `nameless`.
    """

    def __init__(self, target: Target, batch: Batch, answer: Mapping[str, Any], stages: Stages) -> None:
        self._operation, self._stages = batch.operation, stages
        self._names = _Names(target, batch)
        self.unnamed = {record.key: record for record in batch.records}
        self.nameless: list[Mapping[str, Any]] = []
        self.outcomes: list[Outcome] = []
        nameless_errors = []
        for error in listed(answer, "errors"):
            if not (named := self._names.of_error(error)) and not self._names.names(error):
                nameless_errors.append(error)
            for record in named:
                if self._is_first(record):
                    self.outcomes.append(_refused(target, batch.operation, record, error))
        self._refuse(answer)
        for result in listed(answer, "results"):
            named = [each for each in self._names.of_result(result) if each.key in self.unnamed]
            if not named and result.get("objectWriteTraceId") is None:
                self.nameless.append(result)
            elif named and self._is_first(named[0]):
                self.outcomes.append(self._written(named[0], result))
        known = {each.external_id: [each.destination_id] for each in batch.records if each.destination_id}
        self.outcomes += self.named_by(known)
        if nameless_errors and not self.nameless and len(self.unnamed) <= len(nameless_errors):
            self.outcomes += self._refuse_the_rest(target, nameless_errors[0])

    def _refuse_the_rest(self, target: Target, error: Mapping[str, Any]) -> list[Outcome]:
        """Errors that do not say whom they mean are of the rows that nothing else names, if there are as many. Which is
        whose nobody knows of several: they are sent again, and are refused as a whole then, and halved."""
        rest, self.unnamed = self.unnamed, {}
        if len(rest) == 1:
            return [_refused(target, self._operation, record, error) for record in rest.values()]
        return [Outcome.rejected(key, row_error(error), retry=True) for key in rest]

    def named_by(self, ids: Mapping[str, Sequence[str]]) -> list[Outcome]:
        """Outcomes of rows that are named by their record alone; `ids` are those of records by external id."""
        outcomes = []
        for record in list(self.unnamed.values()):
            result = next(
                (each for each in self.nameless if [str(each.get("id"))] == ids.get(record.external_id)), None
            )
            if result is not None and self._is_first(record):
                self.nameless.remove(result)
                outcomes.append(self._written(record, result))
        return outcomes

    def _refuse(self, answer: Mapping[str, Any]) -> None:
        """If nothing was written, raises TargetChanged where a property is not there any more, and RequestRejected
        where no error says whom it means: then the batch is halved until the row stands alone."""
        errors = [row_error(each) for each in listed(answer, "errors")]
        if not errors or listed(answer, "results"):
            return
        if gone := [each for each in errors if each.code == NO_PROPERTY]:
            raise no_property(gone[0])
        if not self.outcomes:
            raise refusal(listed(answer, "errors")[0])

    def _is_first(self, record: Record) -> bool:
        return self.unnamed.pop(record.key, None) is not None

    def _written(self, record: Record, result: Mapping[str, Any]) -> Outcome:
        return self._stages.unmoved(record, result) or _succeeded(self._operation, record, result)


class _Names:
    """The records of a batch by the names an answer may use for them: those that the request used."""

    def __init__(self, target: Target, batch: Batch) -> None:
        self._key, self._object = target.external_id, target.object
        self._by_id = batch.operation in (Operation.UPDATE, Operation.DELETE)
        self._by_trace = {record.key: record for record in batch.records}
        self._key_type = target.key_type
        self._by_name = {self._folded(spelled(target, record.external_id)): record for record in batch.records}
        if self._by_id:
            self._by_name = {record.destination_id or "": record for record in batch.records}

    def of_error(self, error: Mapping[str, Any]) -> list[Record]:
        context = error.get("context") or {}
        if traces := listed(context, "objectWriteTraceId"):
            return self._known(self._by_trace, map(str, traces))
        return self._of(*listed(context, "ids"), *listed(context, "id"))

    @staticmethod
    def names(error: Mapping[str, Any]) -> bool:
        """Whether an error says whom it means, be that one of ours or not."""
        context = error.get("context") or {}
        return any(listed(context, name) for name in ("objectWriteTraceId", "ids", "id"))

    def of_result(self, result: Mapping[str, Any]) -> list[Record]:
        """All that a result may mean: several keys of a batch may be addresses of one contact."""
        if result.get("objectWriteTraceId") is not None:
            return self._known(self._by_trace, [str(result["objectWriteTraceId"])])
        return self._of(result.get("id")) if self._by_id else self._of(*names_of(self._object, self._key, result))

    def _of(self, *names: Any) -> list[Record]:
        return self._known(self._by_name, (str(name) if self._by_id else self._folded(name) for name in names))

    def _folded(self, name: Any) -> str:
        return key_form(self._key_type, name, fold_case=True)

    @staticmethod
    def _known(records: Mapping[str, Record], names: Iterable[str]) -> list[Record]:
        return [records[name] for name in names if name in records]


def _succeeded(operation: Operation, record: Record, result: Mapping[str, Any]) -> Outcome:
    destination_id = result.get("id")
    if operation is Operation.INSERT:
        return Outcome(record.key, Status.CREATED, destination_id=destination_id)
    if operation is Operation.UPDATE:
        return Outcome(record.key, Status.UPDATED, destination_id=destination_id)
    new = result.get("new")
    status = Status.CREATED if new else Status.UPDATED
    return Outcome(record.key, status, destination_id=destination_id, inferred=new is None)


def met_another(target: Target, record: Record, error: RequestRejected) -> Outcome | None:
    """The outcome of an insert that was refused as a whole, alone, because its record is there already (409)."""
    if not _says_it_exists(target, error.code, RowError(str(error), error.code, error.field)):
        return None
    found = _EXISTING.search(str(error))
    return Outcome.skipped(record.key, Reason.ALREADY_EXISTS, str(error), found[1] if found else None)


def _refused(target: Target, operation: Operation, record: Record, error: Mapping[str, Any]) -> Outcome:
    problem = row_error(error)
    category = error.get("category")
    if operation is Operation.INSERT and _says_it_exists(target, category, problem):
        held = listed(error.get("context") or {}, "existingId") or _EXISTING.findall(problem.message)
        return Outcome.skipped(record.key, Reason.ALREADY_EXISTS, problem.message, held[0] if held else None)
    if operation in _NOT_THERE and category == "OBJECT_NOT_FOUND":
        return Outcome.skipped(record.key, _NOT_THERE[operation], problem.message, record.destination_id)
    return Outcome.rejected(record.key, problem, retry=category in RETRY_ROW)


def _says_it_exists(target: Target, category: str | None, error: RowError) -> bool:
    taken = error.code == "CONFLICTING_UNIQUE_VALUE" and error.field == target.external_id
    return taken or (category in ("CONFLICT", "409") and "already exists" in error.message)


def refusal(error: Mapping[str, Any]) -> RequestRejected:
    """The refusal of a whole batch, for an error that does not say whom it means."""
    problem = row_error(error)
    message = f"{problem.code}: {problem.message}" if problem.code else problem.message
    return RequestRejected(message, problem.code, problem.field)


def removed(target: Target, batch: Batch, answer: Mapping[str, Any]) -> Iterator[Outcome]:
    """Outcomes of rows to be archived: those that no error names were, if the answer speaks of no more errors. Raises
    RequestRejected if one does not say whom it means."""
    names, rows = _Names(target, batch), {record.key: record for record in batch.records}
    errors = [
        (error, names.of_error(error) or [*rows.values()][: len(rows) == 1]) for error in listed(answer, "errors")
    ]
    if nameless := [error for error, named in errors if not named and not names.names(error)]:
        raise refusal(nameless[0])
    for error, named in errors:
        for record in named:
            if rows.pop(record.key, None):
                yield _refused(target, batch.operation, record, error)
    if has_ended(answer, len(errors)):
        for record in rows.values():
            yield Outcome(record.key, Status.DELETED, destination_id=record.destination_id, inferred=True)


def has_ended(answer: Mapping[str, Any], errors: int) -> bool:
    """Whether all that an answer does not name was carried out: it speaks of no more errors than were read."""
    number = answer.get("numErrors")
    count = max(len(listed(answer, "errors")), number if isinstance(number, int) else 0)
    return answer.get("status") in (None, "COMPLETE") and count <= errors


def row_error(error: Mapping[str, Any]) -> RowError:
    """HubSpot's own words, with the code and the property where it names them."""
    message = str(error.get("message", ""))
    code, field = error.get("category"), None
    for detail in listed(error, "errors")[:1]:
        code = detail.get("code") or code
        names = listed(detail.get("context") or {}, "propertyName")
        field = names[0] if names else None
    if invalid := _invalid_properties(message):
        first = invalid[0]
        message = "; ".join(str(each.get("message", "")) for each in invalid)
        code, field = first.get("error") or code, first.get("name") or field
    elif more := _sentences(error.get("context"), message):
        message = f"{message}: {more}"
    return RowError(message, code, field)


def _sentences(context: Any, message: str) -> str:
    """What a context says in words, such as `CONTACT=2 is not valid`; names and ids are for machines."""
    values = [str(each) for name in context for each in listed(context, name)] if isinstance(context, dict) else []
    return "; ".join(each for each in dict.fromkeys(values) if " " in each and each not in message)


def _invalid_properties(message: str) -> list[dict[str, Any]]:
    """The list that a validation error carries as JSON inside its message."""
    found = _INVALID.search(message)
    if found is None:
        return []
    try:
        properties = msgspec.json.decode(found[1], type=list[dict[str, Any]])
    except msgspec.DecodeError:
        return []
    return [each for each in properties if not each.get("isValid")]


def no_property(problem: RowError) -> TargetChanged:
    return TargetChanged(f"{problem.code}: {bare(problem.message)} (`{problem.field}`): {IT_WAS_THERE}")


def listed(mapping: Mapping[str, Any], name: str) -> list[Any]:
    value = mapping.get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
