"""The requests of a webhook's operations, made from the templates of its options."""

from collections.abc import Mapping
from typing import Any

from reverse_etl_assets.destinations.templates import Render, compile_path, compile_template, row_names, row_scope
from reverse_etl_assets.destinations.webhook.options import Call, WebhookOptions
from reverse_etl_assets.records import Batch, Operation, Target

_ALWAYS = ("operation", "object", "idempotency_key")
_RECORD = {"key": "{{ key }}", "fields": "{{ fields }}"}


def able(options: WebhookOptions) -> frozenset[Operation]:
    """The operations that the options describe. A delete without settings of its own would be sent as a write."""
    writes = {Operation.INSERT, Operation.UPDATE, Operation.UPSERT}
    return frozenset(writes | ({Operation.DELETE} & options.operations.keys()))


class RequestTemplates:
    """One operation's request: the options with the operation's own settings laid over them.

    Raises SpecError for a placeholder that does not exist.
    """

    def __init__(self, target: Target, options: WebhookOptions, operation: Operation) -> None:
        self._target = target
        own = options.operations.get(operation, Call())
        row = row_names(target)
        self._one_row = options.batch_size == 1
        known = [*_ALWAYS, "records", *(row if self._one_row else [])]
        where = f"operations.{operation}." if operation in options.operations else ""
        self.method = own.method or options.method
        path = options.path if own.path is None else own.path
        self.path = compile_path(path, self._known_in_paths(operation), f"{where}path")
        self.headers = {n: compile_template(v, _ALWAYS, f"headers.{n}") for n, v in options.headers.items()}
        record = _RECORD if options.record is None else options.record
        self._record = compile_template(record, [*_ALWAYS, *row], "record")
        body = own.body if own.body is not None else options.body
        if body is None:
            body = "{{ records }}" if options.format == "ndjson" else self._default_body(operation)
        self.body: Render | None = None if body is None else compile_template(body, known, f"{where}body")

    def _known_in_paths(self, operation: Operation) -> list[str]:
        if not self._one_row:
            return [*_ALWAYS]
        fields = () if operation is Operation.DELETE else self._target.fields
        return [*_ALWAYS, "key", *(f"fields.{name}" for name in (self._target.external_id, *fields))]

    def _default_body(self, operation: Operation) -> Any:
        if not self._one_row:
            return {"records": "{{ records }}"}
        return None if operation is Operation.DELETE else "{{ fields }}"

    def scope(self, batch: Batch) -> Mapping[str, Any]:
        shared = {
            "operation": batch.operation.value,
            "object": self._target.object,
            "idempotency_key": batch.idempotency_key,
        }
        rows = [shared | row_scope(self._target, record) for record in batch.records]
        return {**(rows[0] if self._one_row else shared), "records": [self._record(row) for row in rows]}
