"""A subset of SOQL: ``SELECT fields|Parent.field|COUNT() FROM object [WHERE f = v|!= v|IN (...)|NOT IN (...)|LIKE v
[AND ...]] [ORDER BY f [ASC|DESC]] [LIMIT n]``, in pages of 2,000.

Sources: SOQL and SOSL Reference (at most 100,000 characters), REST API Developer Guide (Query).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reverse_etl_sandbox.salesforce.describe import relationship
from reverse_etl_sandbox.salesforce.ids import normal_id
from reverse_etl_sandbox.salesforce.records import Records, shown
from reverse_etl_sandbox.salesforce.requests import attributes, failure, version_root
from reverse_etl_sandbox.salesforce.schema import OBJECTS, Field, ObjectType
from reverse_etl_sandbox.store import Entry, fold
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

PAGE = 2_000
MOST_CHARACTERS = 100_000
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d))?)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*(?:\.\w+)?)|(?P<sign>!=|<>|<=|>=|[=<>(),]))"
)
_ESCAPE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
Test = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True)
class Column:
    """A selected field: the object's own, or that of the parent in ``lookup``."""

    part: Field
    lookup: Field | None = None


@dataclass(slots=True)
class Query:
    kind: ObjectType
    columns: list[Column]
    tests: list[Test]
    # The first condition that an index can answer: field and values.
    narrow: tuple[Field, list[Any]] | None
    order: Field | None
    descending: bool
    limit: int | None


def malformed(text: str) -> Refused:
    return Refused(failure(400, "MALFORMED_QUERY", text))


class Soql:
    def __init__(self, records: Records) -> None:
        self._records = records
        self.cursors: dict[str, tuple[Query, list[Entry]]] = {}

    def routes(self, root: str) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", f"{root}/query", self._query),
            ("GET", f"{root}/queryAll", self._query),
            ("GET", f"{root}/query/{{locator}}", self._more),
        ]

    def _query(self, call: Call) -> Answer:
        text = call.args().get("q", "")
        call.note("query")
        if len(text) > MOST_CHARACTERS:
            raise Refused(failure(400, "QUERY_TOO_COMPLICATED", f"SOQL is at most {MOST_CHARACTERS} characters"))
        query = Parser(text).query()
        call.object = query.kind.name
        entries = self._run(query, deleted="/queryAll" in call.path)
        if not query.columns:
            return Answer(200, {"totalSize": len(entries), "done": True, "records": []})
        cursor = f"01g5g00000sandbox{len(self.cursors):04d}"
        if len(entries) > PAGE:
            self.cursors[cursor] = query, entries
        return self._page(call, query, entries, 0, cursor)

    def _more(self, call: Call) -> Answer:
        cursor, _, start = call.params["locator"].rpartition("-")
        call.note("query")
        if cursor not in self.cursors or not start.isdigit():
            raise Refused(failure(400, "INVALID_QUERY_LOCATOR", "invalid query locator"))
        query, entries = self.cursors[cursor]
        call.object = query.kind.name
        return self._page(call, query, entries, int(start), cursor)

    def _page(self, call: Call, query: Query, entries: list[Entry], start: int, cursor: str) -> Answer:
        page = entries[start : start + PAGE]
        call.rows = len(page)
        rows = [self._row(call, query, entry) for entry in page]
        end = start + PAGE
        answer: dict[str, Any] = {"totalSize": len(entries), "done": end >= len(entries), "records": rows}
        if end < len(entries):
            answer["nextRecordsUrl"] = f"{version_root(call)}/query/{cursor}-{end}"
        return Answer(200, answer)

    def _row(self, call: Call, query: Query, entry: Entry) -> dict[str, Any]:
        row: dict[str, Any] = {"attributes": attributes(call, query.kind, entry)}
        for column in query.columns:
            lookup, part = column.lookup, column.part
            if lookup is None:
                row[part.name] = shown(query.kind, entry, part)
                continue
            kind, name = OBJECTS[lookup.refers_to], relationship(lookup)
            parent = self._records.tables[kind.name].get(entry.values.get(lookup.name) or "")
            if parent is None:
                row[name] = None
            else:
                row.setdefault(name, {"attributes": attributes(call, kind, parent)})[part.name] = shown(
                    kind, parent, part
                )
        return row

    def _run(self, query: Query, deleted: bool) -> list[Entry]:
        table = self._records.tables[query.kind.name]
        if deleted:
            entries = list(table.entries.values())
        elif query.narrow is not None and query.narrow[0].name in table.keys:
            part, values = query.narrow
            found = {entry.id: entry for value in values for entry in table.find(part.name, value)}
            entries = list(found.values())
        else:
            entries = table.live()
        entries = [entry for entry in entries if all(test(entry) for test in query.tests)]
        order = query.order
        if order is not None:
            entries.sort(key=lambda entry: _sortable(shown(query.kind, entry, order)), reverse=query.descending)
        return entries[: query.limit]


class Parser:
    """Reads one query.

    Raises:
        Refused: MALFORMED_QUERY, INVALID_FIELD or INVALID_TYPE, as the API answers.
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                raise malformed(f"unexpected token: '{text[place:].split()[0]}'")
            self._tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            place = match.end()
        self._next = 0

    def query(self) -> Query:
        self._keyword("SELECT")
        names = self._names()
        self._keyword("FROM")
        name = self._take("word")
        kind = next((kind for key, kind in OBJECTS.items() if key.casefold() == name.casefold()), None)
        if kind is None:
            raise Refused(failure(400, "INVALID_TYPE", f"sObject type '{name}' is not supported."))
        query = Query(kind, [self._column(kind, part) for part in names], [], None, None, False, None)
        if len(set(query.columns)) < len(names):
            raise malformed(f"duplicate field selected: {max(names, key=names.count)}")
        if self._accept("WHERE"):
            self._condition(query)
            while self._accept("AND"):
                self._condition(query)
        if self._accept("ORDER"):
            self._keyword("BY")
            query.order = self._field(kind, self._take("word"))
            query.descending = self._accept("DESC") or (self._accept("ASC") and False)
        if self._accept("LIMIT"):
            query.limit = int(self._take("number"))
        if self._next < len(self._tokens):
            raise malformed(f"unexpected token: '{self._tokens[self._next][1]}'")
        return query

    def _names(self) -> list[str]:
        """The selected fields; none for COUNT()."""
        first = self._take("word")
        if first.casefold() == "count" and self._accept("("):
            self._keyword(")")
            return []
        names = [first]
        while self._accept(","):
            names.append(self._take("word"))
        return names

    def _condition(self, query: Query) -> None:
        kind = query.kind
        part = self._field(kind, self._take("word"))
        negated = self._accept("NOT")
        if negated or self._peek("IN"):
            self._keyword("IN")
            values = self._list()
            if not negated and query.narrow is None:
                query.narrow = part, values
            wanted = {_folded(part, value) for value in values}
            query.tests.append(lambda entry: (_folded(part, shown(kind, entry, part)) in wanted) is not negated)
            return
        if self._accept("LIKE"):
            like = re.escape(str(self._value())).replace("%", ".*").replace("_", ".")
            pattern = re.compile(like, re.IGNORECASE | re.DOTALL)
            query.tests.append(lambda entry: pattern.fullmatch(str(shown(kind, entry, part) or "")) is not None)
            return
        sign = self._take("sign")
        value = self._value()
        if sign == "=" and value is not None and query.narrow is None:
            query.narrow = part, [value]
        query.tests.append(_comparison(kind, part, sign, value))

    def _list(self) -> list[Any]:
        self._keyword("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._keyword(")")
        return values

    def _value(self) -> Any:
        if self._next >= len(self._tokens):
            raise malformed("unexpected end of query")
        kind, token = self._tokens[self._next]
        self._next += 1
        if kind == "text":
            return re.sub(r"\\(.)", lambda part: _ESCAPE.get(part[1], part[1]), token[1:-1])
        if kind == "number":
            return float(token)
        if kind == "moment":
            return token
        literals = {"null": None, "true": True, "false": False}
        if token.casefold() not in literals:
            raise malformed(f"unexpected token: '{token}'")
        return literals[token.casefold()]

    def _column(self, kind: ObjectType, name: str) -> Column:
        parent, dot, field = name.partition(".")
        if not dot:
            return Column(self._field(kind, name))
        for lookup in kind.fields:
            if lookup.beyond and relationship(lookup).casefold() == parent.casefold():
                raise Refused(failure(400, "INVALID_FIELD", f"No such column '{field}' on entity 'Name'"))
            if relationship(lookup).casefold() == parent.casefold():
                return Column(self._field(OBJECTS[lookup.refers_to], field), lookup)
        text = f"Didn't understand relationship '{parent}' in field path. If you are attempting to use a custom "
        text += "relationship, be sure to append the '__r' after the custom relationship name."
        raise Refused(failure(400, "INVALID_FIELD", text))

    def _field(self, kind: ObjectType, name: str) -> Field:
        part = kind.field(name)
        if part is None:
            text = f"No such column '{name}' on entity '{kind.name}'. If you are attempting to use a custom field, be "
            text += "sure to append the '__c' after the custom field name."
            raise Refused(failure(400, "INVALID_FIELD", text))
        return part

    def _peek(self, word: str) -> bool:
        return self._next < len(self._tokens) and self._tokens[self._next][1].casefold() == word.casefold()

    def _accept(self, word: str) -> bool:
        found = self._peek(word)
        self._next += found
        return found

    def _keyword(self, word: str) -> None:
        if not self._accept(word):
            found = self._tokens[self._next][1] if self._next < len(self._tokens) else "<EOF>"
            raise malformed(f"unexpected token: '{found}', expected {word}")

    def _take(self, kind: str) -> str:
        if self._next >= len(self._tokens) or self._tokens[self._next][0] != kind:
            found = self._tokens[self._next][1] if self._next < len(self._tokens) else "<EOF>"
            raise malformed(f"unexpected token: '{found}'")
        self._next += 1
        return self._tokens[self._next - 1][1]


def _folded(part: Field, value: Any) -> Any:
    """Text compares without case, ids by their 18 characters."""
    if part.type in ("id", "reference") and isinstance(value, str):
        return normal_id(value) or value
    return fold(value) if isinstance(value, str) and not part.case_sensitive else value


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, fold(value) if isinstance(value, str) else value)


def _comparison(kind: ObjectType, part: Field, sign: str, value: Any) -> Test:
    wanted = _folded(part, value)
    if sign in ("=", "!=", "<>"):
        equal = sign == "="
        return lambda entry: (_folded(part, shown(kind, entry, part)) == wanted) is equal
    if sign not in ("<", ">", "<=", ">=") or wanted is None:
        raise malformed(f"unexpected token: '{sign}'")
    below, same = sign[0] == "<", len(sign) == 2

    def test(entry: Entry) -> bool:
        held = _folded(part, shown(kind, entry, part))
        if held is None or type(held) is not type(wanted):
            return False
        return bool((held < wanted if below else held > wanted) or (same and held == wanted))

    return test
