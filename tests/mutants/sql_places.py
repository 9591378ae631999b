"""Places in SQL, with Jinja or Python in braces in it, where something is decided.

A condition loses a part, holds always or never; `in` loses a member; a comparison or a join becomes its neighbour; a
value by default is not there. Comments, names and texts are no places.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.mutants.places import Place

_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*)|(?P<shown>\{\{.*?\}\})|(?P<told>\{%.*?%\})|(?P<text>'(?:[^']|'')*')|(?P<quoted>\"[^\"]*\")"
    r"|(?P<word>distinct\s+from|[$]?[A-Za-z_][\w.]*)|(?P<number>\d+)|(?P<operator>::|<>|<=|>=|\|\||[-+*/=<>])"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<mark>[,;:.\\])",
    re.DOTALL,
)
_IN_BRACES = re.compile(r"\{[^{}]*\}")
_CLAUSES = frozenset(
    re.findall(
        r"\w+",
        "select from where on using having qualify group order limit union returning set values as"
        " left right full inner join semi then when else",
    )
)
_OTHER = {"=": "<>", "<>": "=", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    depth: int
    """Of brackets, and of `case` to `end`."""


def sql_places(text: str, *, braces_are_python: bool = False) -> Iterator[Place]:
    tokens = _tokens(text, braces_are_python=braces_are_python)
    for at in range(len(tokens)):
        yield from _connectors(tokens, at)
        yield from _conditions(tokens, at)
        yield from _members(text, tokens, at)
        yield from _neighbours(tokens, at)
        if not braces_are_python:
            yield from _jinja(tokens[at])


def _tokens(text: str, *, braces_are_python: bool) -> list[_Token]:
    masked = text
    if braces_are_python:
        masked = _IN_BRACES.sub(lambda found: "_" * len(found[0]), text).replace('"', " ")
    tokens: list[_Token] = []
    depth = 0
    for found in _TOKEN.finditer(masked):
        kind, word = str(found.lastgroup), found[0]
        if kind == "comment":
            continue
        depth -= kind == "close" or word == "end"
        tokens.append(_Token(kind, word, found.start(), found.end(), depth))
        depth += kind == "open" or word == "case"
    return tokens


def _ends(token: _Token, depth: int, words: frozenset[str]) -> bool:
    if token.kind == "told" or token.depth < depth:
        return True
    return token.depth == depth and (token.text in words or token.text in (",", ";"))


def _after(tokens: Sequence[_Token], at: int, words: frozenset[str] = _CLAUSES) -> list[_Token]:
    """The tokens from `at` on that belong to one expression."""
    depth, found = tokens[at - 1].depth, list[_Token]()
    for token in tokens[at:]:
        if _ends(token, depth, words):
            break
        found.append(token)
    return found


def _before(tokens: Sequence[_Token], at: int, words: frozenset[str]) -> list[_Token]:
    depth, found = tokens[at].depth, list[_Token]()
    for token in reversed(tokens[:at]):
        if _ends(token, depth, words):
            break
        found.append(token)
    return found[::-1]


def _connectors(tokens: Sequence[_Token], at: int) -> Iterator[Place]:
    """`a and b`: only a, only b, and `a or b`."""
    token = tokens[at]
    if token.text not in ("and", "or") or tokens[at + 1].text == "replace":
        return
    tighter = _CLAUSES | ({"and", "or"} if token.text == "and" else {"or"})
    left, right = _before(tokens, at, tighter), _after(tokens, at + 1, tighter)
    if any(each.text == "between" and each.depth == token.depth for each in left):
        return
    if right:
        yield Place(token.start, right[-1].end, "")
    if left:
        yield Place(left[0].start, token.end, "")
    yield Place(token.start, token.end, "or" if token.text == "and" else "and")


def _conditions(tokens: Sequence[_Token], at: int) -> Iterator[Place]:
    """Conditions that hold always, or never, and what is else."""
    token = tokens[at]
    if token.text not in ("when", "where", "having", "qualify", "else"):
        return
    ends = _after(tokens, at + 1)
    if not ends:
        return
    if token.text == "else":
        yield Place(token.start, ends[-1].end, "")
        return
    yield Place(ends[0].start, ends[-1].end, "true")
    if token.text == "when":
        yield Place(ends[0].start, ends[-1].end, "false")


def _members(text: str, tokens: Sequence[_Token], at: int) -> Iterator[Place]:
    """What is in the brackets of `in`, `coalesce` and `nullif`, one by one."""
    token = tokens[at]
    if token.text not in ("in", "coalesce", "nullif", "least", "greatest") or tokens[at + 1 : at + 2] == []:
        return
    opening, where = tokens[at + 1], at + 2
    groups: list[tuple[int, int]] = []
    while opening.text == "(" and (inside := list(_within(tokens, where, opening.depth))):
        groups.append((inside[0].start, inside[-1].end))
        where += len(inside)
        if where >= len(tokens) or tokens[where].text != ",":
            break
        where += 1
    if len(groups) < 2:
        return
    for left_out in [1] if token.text == "nullif" else range(len(groups)):
        kept = [text[start:end] for i, (start, end) in enumerate(groups) if i != left_out]
        name = token.text if token.text == "in" or len(kept) > 1 else ""
        yield Place(token.start, _close(tokens, at + 1), f"{name}{' ' if name == 'in' else ''}({', '.join(kept)})")


def _within(tokens: Sequence[_Token], at: int, depth: int) -> Iterator[_Token]:
    """Tokens up to the next comma or the end of brackets that stand at `depth`."""
    for token in tokens[at:]:
        if token.kind == "told" or token.depth <= depth or (token.depth == depth + 1 and token.text == ","):
            return
        yield token


def _close(tokens: Sequence[_Token], at: int) -> int:
    return next(each.end for each in tokens[at + 1 :] if each.depth == tokens[at].depth and each.kind == "close")


def _neighbours(tokens: Sequence[_Token], at: int) -> Iterator[Place]:
    """A word that becomes the one beside it in meaning."""
    token, word = tokens[at], tokens[at].text
    two, before = [each.text for each in tokens[at : at + 2]], tokens[at - 1].text if at else ""
    second = tokens[at + 1] if len(two) == 2 else token
    if word == "is" and (second.text == "null" or second.text.startswith("distinct")):
        yield Place(token.end, token.end, " not")
    elif two == ["is", "not"]:
        yield Place(token.end, second.end, "")
    elif word == "not" and before != "is" and second.text != "exists":
        yield Place(token.start, second.start, "")
    elif word == "in" and before != "not" and second.text == "(":
        yield Place(token.start, token.end, "not in")
    elif two == ["left", "join"]:
        yield Place(token.start, second.end, "join")
    elif word == "join" and before not in ("left", "outer", "semi", "full"):
        yield Place(token.start, token.end, "left join")
    elif two == ["full", "outer"]:
        yield Place(token.start, second.end, "left")
    elif two == ["union", "all"]:
        yield Place(token.end, second.end, "")
    elif word in ("distinct", "desc"):
        yield Place(token.start, token.end, "")
    elif word in ("max", "min", "arg_max", "arg_min"):
        yield Place(token.start, token.end, word.replace("max", "mix").replace("min", "max").replace("mix", "min"))
    elif token.kind == "operator" and word in _OTHER and _clause(tokens, at) != "set":
        yield Place(token.start, token.end, _OTHER[word])
    elif token.kind == "number" and before not in ("::", "limit"):
        yield Place(token.start, token.end, str(int(word) + 1))


def _clause(tokens: Sequence[_Token], at: int) -> str:
    depth = tokens[at].depth
    words = ("set", "where", "on", "when", "select", "from", "having")
    return next((t.text for t in reversed(tokens[:at]) if t.depth == depth and t.text in words), "")


def _jinja(token: _Token) -> Iterator[Place]:
    if asked := re.match(r"\{%-?\s*(?:el)?if (.*?)\s*-?%\}", token.text, re.DOTALL):
        yield Place(token.start + asked.start(1), token.start + asked.end(1), f"not ({asked[1]})")
    if either := re.match(r"\{\{ (.*) if (.*) else (.*) \}\}", token.text):
        yield from (Place(token.start, token.end, f"{{{{ {either[arm]} }}}}") for arm in (1, 3))
