"""One text for a value everywhere, in SQL: as a key it is written as the same column is when it goes out as a field."""

import re

from reverse_etl_assets.records import FieldType
from reverse_etl_assets.warehouses.column_types import field_type

_QUOTED = r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'"
_INSIDE = re.compile(rf"{_QUOTED}|(?P<float>\bFLOAT\b(?=[,)\[]|$))|(?P<decimal>\bDECIMAL\(\d+,(?P<scale>\d+)\))")
# Neither white space nor what cannot be seen: a zero-width space, a soft hyphen, fillers, variation selectors.
_FILLERS = r"\x{034F}\x{115F}\x{1160}\x{180B}-\x{180F}\x{2800}\x{3164}\x{FE00}-\x{FE0F}\x{FFA0}\x{E0100}-\x{E01EF}"
_VISIBLE = rf"[^\p{{Z}}\p{{Cc}}\p{{Cf}}{_FILLERS}]"


def text(value: str, sql_type: str) -> str:
    """A value as text: what a destination's field that holds text gets of it (`values.plain_text`)."""
    kind = field_type(sql_type)
    if kind is FieldType.TIMESTAMP:
        return moment(value, sql_type)
    if kind is FieldType.FLOAT:
        return _plain(f"to_json({exact(value, sql_type)})::varchar")
    if kind is FieldType.JSON:
        return _json(value, sql_type)
    return f"{value}::varchar"


def in_json(value: str, sql_type: str) -> str:
    """A value to be made JSON of: times with a zone, numbers with the digits that the warehouse shows."""
    return moment(value, sql_type) if field_type(sql_type) is FieldType.TIMESTAMP else exact(value, sql_type)


def moment(value: str, sql_type: str) -> str:
    """ISO 8601 in UTC, to the microsecond; finer only if the value is."""
    in_utc = f"{value} at time zone 'UTC'" if sql_type.endswith("TIME ZONE") else f"{value}::timestamp"
    shown = f"strftime({in_utc}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if sql_type != "TIMESTAMP_NS":
        return shown
    finer = f"isfinite({value}) and nanosecond({value}) % 1000 <> 0"
    return f"case when {finer} then replace({value}::varchar, ' ', 'T') || 'Z' else {shown} end"


def exact(value: str, sql_type: str) -> str:
    """The value in a type whose numbers DuckDB writes as JSON with just their digits: FLOAT 0.1 is no
    0.10000000149011612, and DECIMAL(5,0) 100 is no 100.0."""
    texts = _with_inside(sql_type, "VARCHAR")
    numbers = _with_inside(sql_type, "DOUBLE")
    through = f"{value}::{texts}" if texts != numbers else value
    return f"{through}::{numbers}" if numbers != sql_type else value


def is_visible(value: str, sql_type: str) -> str:
    """True for a value of whose text something can be seen."""
    return f"regexp_matches(coalesce({text(value, sql_type)}, ''), '{_VISIBLE}')"


def old_text(value: str) -> str:
    """How keys were written before they had the text of fields."""
    return f"{value}::varchar"


def is_respelled(sql_type: str) -> bool:
    """Whether a key of this type was written in another way before."""
    return field_type(sql_type) in (FieldType.TIMESTAMP, FieldType.FLOAT, FieldType.JSON)


def _with_inside(sql_type: str, of_floats: str) -> str:
    def instead(match: re.Match[str]) -> str:
        if match["float"]:
            return of_floats
        return f"DECIMAL(38,{match['scale']})" if match["decimal"] else match[0]

    return _INSIDE.sub(instead, sql_type)


def _json(value: str, sql_type: str) -> str:
    """A text of JSON without its quotes, a number as every number, all else as compact JSON; NULL for a null."""
    inside = f"to_json([{exact(value, sql_type)}])"
    shown = f"({inside} ->> '$[0]')"
    return f"case json_type({inside}, '$[0]') when 'DOUBLE' then {_plain(shown)} else {shown} end"


def _plain(number: str) -> str:
    """A number of JSON in decimal notation, without an exponent."""
    digits = f"regexp_replace(split_part({number}, 'e', 1), '[-.]', '', 'g')"
    before_point = f"length(split_part(ltrim(split_part({number}, 'e', 1), '-'), '.', 1))"
    whole = f"({before_point} + try_cast(split_part({number}, 'e', 2) as integer))"
    sign = f"case when {number} like '-%' then '-' else '' end"
    large = f"rpad({digits}, {whole}::integer, '0')"
    small = f"'0.' || repeat('0', -{whole}) || {digits}"
    between = f"left({digits}, {whole}) || '.' || substr({digits}, {whole} + 1)"
    written = f"case when {whole} >= length({digits}) then {large} when {whole} <= 0 then {small} else {between} end"
    return f"case when contains({number}, 'e') then {sign} || ({written}) else {number} end"
