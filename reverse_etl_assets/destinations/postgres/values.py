"""Values of PostgreSQL columns: when a column holds what was sent to it."""

import struct
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from reverse_etl_assets.destinations.postgres.table import DOCUMENTS, MOMENTS, Column
from reverse_etl_assets.destinations.values import canonical
from reverse_etl_assets.records import FieldType


def same_in_column(column: Column | None, sent_as: FieldType, sent: Any, held: Any) -> bool:
    """Whether the column holds what was sent: exactly, but for what its type makes of a value.

    Texts are kept as they are, so case and blanks tell them apart; but for an empty one, which counts as none.
    """
    if sent == held:
        return True
    if sent_as is FieldType.TEXT and column:
        if column.kind not in DOCUMENTS:
            return _same_text(column, sent or "", held or "")
        sent_as = FieldType.JSON
    one, other = canonical(sent_as, sent), canonical(sent_as, held)
    if one == other:
        return True
    if one is None or other is None or column is None:
        return False
    if isinstance(one, Decimal | float) and isinstance(other, Decimal | float):
        return _same_number(column, Decimal(str(one)), Decimal(str(other)))
    return column.kind in MOMENTS and column.scale is not None and _same_moment(column.scale, one, other)


def _same_text(column: Column, one: str, other: str) -> bool:
    if column.kind == "character":  # which is filled with blanks
        one, other = one.rstrip(" "), other.rstrip(" ")
    return one == other or ((column.folds_case or column.kind == "uuid") and one.lower() == other.lower())


def _same_number(column: Column, one: Decimal, other: Decimal) -> bool:
    """As the column rounds: numeric half away from zero, real to its nearest neighbour."""
    if column.kind == "numeric" and column.scale is not None:
        unit = Decimal(1).scaleb(-column.scale)
        return one.quantize(unit, ROUND_HALF_UP) == other.quantize(unit, ROUND_HALF_UP)
    if column.kind == "real":
        return _single(one) == _single(other)
    return column.kind == "double precision" and float(one) == float(other)


def _single(number: Decimal) -> bytes:
    try:
        return struct.pack("f", number)
    except OverflowError:
        return b""


def _same_moment(scale: int, one: str, other: str) -> bool:
    try:
        apart = datetime.fromisoformat(one).replace(tzinfo=UTC) - datetime.fromisoformat(other).replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(apart) <= timedelta(seconds=10.0**-scale) / 2
