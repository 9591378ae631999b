"""A query of a sync's own: one SELECT over what dbt's `ref()` and `source()` name, so that its lineage is known."""

import json
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import jinja2
from jinja2.sandbox import SandboxedEnvironment

from reverse_etl_assets.dbt.manifest import EPHEMERAL, Model
from reverse_etl_assets.dbt.names import SOURCE

_PLACE = re.compile(r'"__retl_(\d+)"')
_MAKES_ROWS = frozenset({"range", "generate_series", "unnest"})
_ONE_SELECT = "a query is one SELECT; it only reads"


class QueryProblem(ValueError):
    """What is wrong with a query, and in which line of it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def query_model(sync: str, text: str, models: Mapping[str, Model]) -> Model:
    """The query of a sync as what its rows are read from.

    Columns and marks of personal data are those of the models that it reads. A column that it makes itself counts as
    personal if the query reads one that is. Raises QueryProblem.
    """
    read: list[Model] = []
    sql = _rendered(text, models, read)
    tree = _tree(sql)
    _refuse_others(sql, tree)
    if not read:
        raise QueryProblem(1, "it reads nothing of dbt: name models by `{{ ref('...') }}`, sources by `source()`")
    parts: list[str | Model] = []
    for place, piece in enumerate(_PLACE.split(sql.strip().rstrip(";"))):
        parts.append(read[int(piece)] if place % 2 else piece)
    ids = tuple(dict.fromkeys(model.unique_id for model in read))
    upstream = dict.fromkeys(unique_id for model in read for unique_id in (model.unique_id, *model.upstream))
    return Model(
        name=f"query of {sync}",
        unique_id=f"query.{sync}",
        schema="",
        identifier="",
        columns={name: kind for model in read for name, kind in model.columns.items()},
        descriptions={name: words for model in read for name, words in model.descriptions.items()},
        pii=_Marks(read, _reads_personal(tree, read)),
        upstream=tuple(upstream),
        materialized="query",
        kind="query",
        parts=tuple(parts),
        reads=ids,
    )


class _Marks(Mapping[str, str]):
    """Marks of the models that are read; a name that none of them documents has one if it may be made of such."""

    def __init__(self, read: Sequence[Model], from_personal: str) -> None:
        self._marked = {name: kind for model in read for name, kind in model.pii.items()}
        self._documented = {name.lower() for model in read for name in model.columns}
        self._from_personal = from_personal

    def __getitem__(self, name: str) -> str:
        if name in self._marked or name in self._documented or not self._from_personal:
            return self._marked[name]
        return self._from_personal

    def __iter__(self) -> Iterator[str]:
        return iter(self._marked)

    def __len__(self) -> int:
        return len(self._marked)


def _rendered(text: str, models: Mapping[str, Model], read: list[Model]) -> str:
    """With a name of our own for each model, and the models in their order."""

    def place(name: str, said: str) -> str:
        model = models.get(name)
        unusable = EPHEMERAL if model and model.materialized == "ephemeral" else model and model.unusable
        if model is None or unusable:
            raise LookupError(f"{said}: {f'`{name}` {unusable}' if unusable else f'there is no model `{name}`.'}")
        read.append(model)
        return f'"__retl_{len(read) - 1}"'

    def ref(*names: str, version: Any = None, v: Any = None) -> str:
        wanted = version if version is not None else v
        name = ".".join(map(str, names)) + (f".v{wanted}" if wanted is not None else "")
        return place(name, f"ref({', '.join(map(repr, names))})")

    def source(*names: str) -> str:
        return place(f"{SOURCE}.{'.'.join(map(str, names))}", f"source({', '.join(map(repr, names))})")

    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(text).render(ref=ref, source=source)
    except jinja2.TemplateSyntaxError as error:
        raise QueryProblem(error.lineno, f"{error.message}") from None
    except Exception as error:
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == "<template>"]
        known = "; a query knows `ref()` and `source()` alone" if isinstance(error, jinja2.UndefinedError) else ""
        raise QueryProblem((lines or [1])[-1] or 1, f"{error}{known}") from None


def _tree(sql: str) -> Mapping[str, Any]:
    with duckdb.connect(":memory:") as con:
        row = con.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
    found: dict[str, Any] = json.loads(row[0]) if row else {}
    if found.get("error"):
        message = found["error_message"] if found.get("error_type") == "parser" else _ONE_SELECT
        raise QueryProblem(_line(sql, int(found.get("position") or 0)), f"{message}.")
    if len(found["statements"]) != 1:
        raise QueryProblem(1, f"it has {len(found['statements'])} statements; {_ONE_SELECT}.")
    return found


def _refuse_others(sql: str, tree: Mapping[str, Any]) -> None:
    """Whatever is not read by a name that dbt knows would be of one target alone, and of no lineage."""
    nodes = list(_nodes(tree))
    own = {entry["key"].lower() for node in nodes if isinstance(node.get("map"), list) for entry in node["map"]}
    for node in nodes:
        kind, line = str(node.get("type")), _line(sql, int(node.get("query_location") or 0))
        if kind.endswith("_QUERY_NODE") or kind == "SHOW_REF":
            raise QueryProblem(line, f"{_ONE_SELECT}.")
        if kind == "BASE_TABLE" and not _PLACE.fullmatch(f'"{node["table_name"]}"'):
            named = ".".join(filter(None, (node["catalog_name"], node["schema_name"], node["table_name"])))
            if node["table_name"].lower() not in own or "." in named:
                raise QueryProblem(line, f"`{named}` is a table of one target: name it by `ref()` or `source()`.")
        if kind == "TABLE_FUNCTION":
            function = str(node["function"].get("function_name"))
            if function.lower() not in _MAKES_ROWS:
                raise QueryProblem(line, f"`{function}` reads what dbt does not know: name it by `source()`.")


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(inner)


def _reads_personal(tree: Mapping[str, Any], read: list[Model]) -> str:
    """The kind of a column that is marked as personal, if the query has it other than by its name alone."""
    marked = {name: kind for model in read for name, kind in model.pii.items()}
    for node in _nodes(tree):
        if node.get("type") == "COLUMN_REF" and (kind := marked.get(str(node["column_names"][-1]).lower())):
            return f"perhaps made of `{node['column_names'][-1]}`, {kind}"
        if node.get("type") == "STAR" and marked:
            name = next(iter(marked))
            return f"perhaps made of `{name}`, {marked[name]}"
    return ""


def _line(sql: str, position: int) -> int:
    """DuckDB counts bytes; a place that it does not know is beyond them all."""
    text = sql.encode()
    return text.count(b"\n", 0, position) + 1 if position <= len(text) else 1
