"""Short ways to make records, batches and targets in tests."""

import hashlib
from collections.abc import Mapping
from typing import Any

from reverse_etl_assets.records import Batch, FieldType, Operation, Record, Target


def record(
    key: str = "k1",
    fields: Mapping[str, Any] | None = None,
    /,
    *,
    external_id: str | None = None,
    destination_id: str | None = None,
    **more: Any,
) -> Record:
    """A record whose external id is its key unless told otherwise; a field whose name is no word goes into `fields`."""
    return Record(key, key if external_id is None else external_id, {**(fields or {}), **more}, destination_id)


def batch(operation: Operation, *records: Record, idempotency_key: str | None = None) -> Batch:
    """A batch whose idempotency key follows from its rows and their values, as the engine's do."""
    if idempotency_key is None:
        idempotency_key = hashlib.sha256(repr((operation.value, records)).encode()).hexdigest()[:32]
    return Batch(operation, records, idempotency_key)


def target(
    object_name: str,
    external_id: str,
    *operations: Operation,
    key_type: FieldType = FieldType.TEXT,
    **fields: FieldType,
) -> Target:
    """A target; of upserts unless operations are named."""
    return Target(object_name, external_id, fields, frozenset(operations or {Operation.UPSERT}), key_type)
