"""Places in Python where something is decided; SQL in its texts is looked at as SQL.

Docstrings, types, the words of errors and of the log, asserts and decorators are no places.
"""

import ast
import re
from collections.abc import Iterator, Sequence

from tests.mutants.places import Place
from tests.mutants.sql_places import sql_places

_SQL = re.compile(r"\b(select|where|insert into|delete from|coalesce|case when|distinct from|is not null|join)\b")
_LOGS = re.compile(r"(_?log|_?logger|warnings|console)$")
_SAME = frozenset({"strict", "frozen", "slots"})  # keywords whose absence only another mistake shows
_OTHER: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}


def python_places(text: str) -> Iterator[Place]:
    return _Places(text).of(ast.parse(text))


class _Places:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [line.encode() for line in text.splitlines(keepends=True)]
        starts, at = [], 0
        for line in text.splitlines(keepends=True):
            starts.append(at)
            at += len(line)
        self._starts = starts

    def of(self, node: ast.AST) -> Iterator[Place]:
        yield from self._here(node)
        for child in self._children(node):
            yield from self.of(child)

    def _children(self, node: ast.AST) -> Iterator[ast.AST]:
        """Those in which something may be decided."""
        match node:
            case ast.Raise() | ast.Assert() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
                return
            case ast.Expr(value=ast.Constant()):
                return  # a docstring
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if _LOGS.match(name):
                return
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "slice", "type_params", "bases"):
                continue
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST))

    def _here(self, node: ast.AST) -> Iterator[Place]:
        match node:
            case ast.If() | ast.While():
                if not self._turns(node.test):
                    yield self._instead(node.test, f"not ({self._source(node.test)})")
                if isinstance(node, ast.If):
                    yield from self._branches(node)
            case ast.IfExp(body=body, orelse=orelse):
                yield self._instead(node, f"({self._source(body)})")
                yield self._instead(node, f"({self._source(orelse)})")
            case ast.comprehension(ifs=ifs):
                for condition in ifs:
                    yield self._instead(condition, "True")
            case ast.BoolOp(op=op, values=values):
                yield from self._parts(node, values, " and " if isinstance(op, ast.And) else " or ")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._instead(node, self._source(operand))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                if type(op) in _OTHER:
                    yield self._instead(node, f"{self._source(left)} {_OTHER[type(op)]} {self._source(right)}")
                if isinstance(op, (ast.In, ast.NotIn)):
                    yield from self._members(right)
            case ast.Set():
                yield from self._members(node)
            case ast.Assign(value=ast.Tuple() | ast.Dict() | ast.List() as value, targets=[ast.Name(id=name)]):
                if name.isupper() or name.startswith("_"):
                    yield from self._members(value)
            case ast.ExceptHandler(type=ast.Tuple() as errors):
                yield from self._members(errors)
            case ast.Call():
                yield from self._arguments(node)
            case ast.BinOp(op=ast.BitOr(), left=left, right=right) if not self._is_type(node):
                yield self._instead(node, self._source(left))
                yield self._instead(node, self._source(right))
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                yield self._instead(node, repr(number + 1))
            case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call()) as value):
                if not any(isinstance(n, ast.Name) and _LOGS.match(n.id) for n in ast.walk(value)):
                    yield self._instead(node, "pass")
            case ast.JoinedStr() | ast.Constant(value=str()):
                yield from self._sql(node)

    def _turns(self, test: ast.expr) -> bool:
        """Whether one of its own places is its contrary."""
        match test:
            case ast.UnaryOp(op=ast.Not()):
                return True
            case ast.Compare(ops=[op]):
                return isinstance(op, (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn))
        return False

    def _branches(self, node: ast.If) -> Iterator[Place]:
        start, end = self._span(node.body[0])[0], self._span(node.body[-1])[1]
        if not isinstance(node.body[0], ast.Pass):
            yield Place(start, end, "pass")
        if node.orelse and not isinstance(node.orelse[0], ast.If):
            yield Place(self._span(node.orelse[0])[0], self._span(node.orelse[-1])[1], "pass")

    def _parts(self, node: ast.AST, values: Sequence[ast.expr], here: str) -> Iterator[Place]:
        other = " or " if here == " and " else " and "
        parts = [
            f"({self._source(value)})" if isinstance(value, ast.BoolOp) else self._source(value) for value in values
        ]
        yield self._instead(node, f"({other.join(parts)})")
        for left_out in range(len(parts)):
            yield self._instead(node, f"({here.join(part for i, part in enumerate(parts) if i != left_out)})")

    def _members(self, node: ast.AST) -> Iterator[Place]:
        """Each member of a collection, and each line of a dictionary, left out."""
        members: list[tuple[int, int]] = []
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            members = [self._span(each) for each in node.elts]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            members = [(self._span(key)[0], self._span(value)[1]) for key, value in pairs if key is not None]
        if len(members) < 2:
            return
        for i, (start, end) in enumerate(members):
            if i + 1 < len(members):
                yield Place(start, members[i + 1][0], "")
            else:
                yield Place(members[i - 1][1], end, "," if isinstance(node, ast.Tuple) else "")

    def _arguments(self, node: ast.Call) -> Iterator[Place]:
        """Keywords left out."""
        starts = [self._span(each)[0] for each in (*node.args, *node.keywords)]
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg in _SAME:
                continue
            start, end = self._span(keyword)
            later = [each for each in starts if each > start]
            yield Place(start, min(later) if later else end, "")

    def _is_type(self, node: ast.BinOp) -> bool:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        return any(isinstance(n, (ast.Subscript, ast.Constant)) for n in ast.walk(node)) or bool(
            names & {"int", "str", "float", "bool", "bytes", "None"}
        )

    def _sql(self, node: ast.AST) -> Iterator[Place]:
        start, end = self._span(node)
        text = self._text[start:end]
        if not _SQL.search(text) or (not text.islower() and re.match(r"f?\"[A-Z]", text)):
            return
        for place in sql_places(text, braces_are_python=True):
            if not set(text[place.start : place.end]) & set('"\n'):
                yield Place(start + place.start, start + place.end, place.instead)

    def _source(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._text[start:end]

    def _instead(self, node: ast.AST, text: str) -> Place:
        return Place(*self._span(node), text)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        """Characters of the whole file; `ast` counts bytes of a line."""
        at = vars(node)
        return self._at(at["lineno"], at["col_offset"]), self._at(at["end_lineno"], at["end_col_offset"])

    def _at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1][:column].decode())
