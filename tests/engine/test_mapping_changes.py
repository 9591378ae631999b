"""Whatever changes between two runs, the destination ends up with what the model says now.

The sink keeps what it was told last for every field, so it shows a field that was never told or told too long ago.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import heavy

MISSING = object()


def shown(sandbox: Sandbox, *fields: str) -> dict[str, tuple[Any, ...]]:
    return {
        entry.id: tuple(entry.values.get(name, MISSING) for name in fields)
        for entry in sandbox.rest.tables["people"].live()
    }


def build(shop: Shop, *rows: str) -> None:
    """Rows of (id, a, b)."""
    shop.build(f"select id, a::varchar a, b::varchar b from (values {', '.join(rows)}) as t(id, a, b)")


def mapped(**fields: Any) -> Any:
    return sink_sync(mapping={"id": "id", **fields}, guards={"row_count": {}})


def anew(version: int, cutover: str = "resend", **fields: Any) -> Any:
    return mapped(**fields).model_copy(update={"version": version, "cutover": Cutover(cutover)})


def test_a_new_field_is_told_to_every_row_also_where_it_is_null(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, "('1', 'x', 'y')", "('2', 'x', null)")
    shop.run(mapped(f="a"), sink(sandbox.url))
    report = shop.run(mapped(f="a", g="b"), sink(sandbox.url))
    assert shown(sandbox, "f", "g") == {"1": ("x", "y"), "2": ("x", None)}
    assert report.counts["changed"] == 2
    assert shop.run(mapped(f="a", g="b"), sink(sandbox.url)).change_set == 0


@heavy
def test_a_field_that_was_away_is_told_anew(shop: Shop, sandbox: Sandbox) -> None:
    """What was told of it long ago may not be what the model says now, nor be there any more."""
    build(shop, "('1', 'x', 'y')")
    shop.run(mapped(f="a", g="b"), sink(sandbox.url))
    build(shop, "('1', 'z', null)")
    shop.run(anew(2, f="a"), sink(sandbox.url))
    assert shown(sandbox, "f", "g") == {"1": ("z", "y")}
    shop.run(anew(2, f="a", g="b"), sink(sandbox.url))
    assert shown(sandbox, "f", "g") == {"1": ("z", None)}


@heavy
def test_a_removed_field_stays_as_it_is(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, "('1', 'x', 'y')")
    shop.run(mapped(f="a", g="b"), sink(sandbox.url))
    with pytest.raises(StateError, match=r"- mapping\.g: column b before, not mapped now"):
        shop.run(mapped(f="a"), sink(sandbox.url))
    shop.run(anew(2, f="a"), sink(sandbox.url))
    assert shown(sandbox, "f", "g") == {"1": ("x", "y")}


@heavy
def test_a_field_from_another_column_is_told_to_every_row(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, "('1', 'x', 'x')", "('2', 'x', 'y')")
    shop.run(mapped(f="a"), sink(sandbox.url))
    with pytest.raises(StateError, match=r"- mapping\.f: column a before, column b now"):
        shop.run(mapped(f="b"), sink(sandbox.url))
    assert shop.run(anew(2, f="b"), sink(sandbox.url)).counts["updated"] == 2
    assert shown(sandbox, "f") == {"1": ("x",), "2": ("y",)}


@heavy
def test_another_constant_is_told_to_every_row(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, "('1', 'x', 'y')", "('2', 'x', 'y')")
    shop.run(mapped(f={"constant": "warm"}), sink(sandbox.url))
    with pytest.raises(StateError, match=r'- mapping\.f: constant "warm" before, constant 7 now'):
        shop.run(mapped(f={"constant": 7}), sink(sandbox.url))
    shop.run(anew(2, f={"constant": 7}), sink(sandbox.url))
    assert shown(sandbox, "f") == {"1": (7,), "2": (7,)}
    shop.run(anew(3, f={"constant": None}), sink(sandbox.url))
    assert shown(sandbox, "f") == {"1": (None,), "2": (None,)}


OTHER_VALUES = [
    ("'abc'", "null::integer"),
    ("'01'", "1"),
    ("1.5::double", "2::integer"),
    ("1.2345::decimal(10,4)", "1.23::decimal(10,2)"),
    ("timestamp '2024-01-02 03:04:05'", "date '2024-01-02'"),
    ("{'a': 1}", "{'c': 1}"),
    ("{'a': 1}", "{'a': 1, 'b': null::integer}"),
    ("{'a': 1}", "'{\"a\": 2}'::json"),
    ("[1, 2]", "['1', '2']"),
    ("true", "1"),
]
SAME_VALUES = [
    ("7::integer", "7::bigint"),
    ("7::integer", "7::hugeint"),
    ("1.50::decimal(10,2)", "1.5000::decimal(12,4)"),
    ("'x'::varchar", "'x'::enum('x', 'y')"),
    ("timestamp '2024-01-02 03:04:05'", "timestamptz '2024-01-02 03:04:05+00'"),
    ("0.5::float", "0.5::double"),
]


def columns(values: Iterable[str], key: str = "1") -> str:
    return f"select '{key}' as id, {', '.join(f'{value} as a{at}' for at, value in enumerate(values))}"


@heavy
def test_columns_of_another_type_are_told_anew_if_their_value_is_another(shop: Shop, sandbox: Sandbox) -> None:
    sync = mapped(**{f"f{at}": f"a{at}" for at in range(len(OTHER_VALUES))})
    shop.build(columns(before for before, _ in OTHER_VALUES))
    shop.run(sync, sink(sandbox.url))
    shop.build(columns(after for _, after in OTHER_VALUES))
    shop.run(sync, sink(sandbox.url))
    shop.build(columns((after for _, after in OTHER_VALUES), key="other"))
    shop.run(sync, sink(sandbox.url))
    told = shown(sandbox, *(f"f{at}" for at in range(len(OTHER_VALUES))))
    for pair, again, new in zip(OTHER_VALUES, told["1"], told["other"], strict=True):
        assert again == new, pair


@heavy
def test_wider_columns_send_nothing(shop: Shop, sandbox: Sandbox) -> None:
    sync = mapped(**{f"f{at}": f"a{at}" for at in range(len(SAME_VALUES))})
    shop.build(columns(before for before, _ in SAME_VALUES))
    shop.run(sync, sink(sandbox.url))
    shop.build(columns(after for _, after in SAME_VALUES))
    assert shop.run(sync, sink(sandbox.url)).change_set == 0


@heavy
def test_a_failed_row_is_told_of_the_new_field_too(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, "('1', 'x', null)")
    shop.run(mapped(f="a"), sink(sandbox.url))
    sandbox.fault("refuse_rows", percent=100)
    assert shop.run(mapped(f="a", g="b"), sink(sandbox.url)).counts["failed"] == 1
    sandbox.faults.clear()
    shop.run(mapped(f="a", g="b"), sink(sandbox.url))
    assert shown(sandbox, "g") == {"1": (None,)}


SOURCES = ["a", "b", "n", {"constant": None}, {"constant": 1}, {"constant": "x"}]
VALUES = [None, "x", "y"]


@dataclass(frozen=True)
class Step:
    """A table of (id, a, b, n) and a mapping of fields f, g, h, which begins a version."""

    rows: dict[str, tuple[Any, Any, Any]]
    mapping: dict[str, Any]
    refuse: bool
    cutover: str


@st.composite
def steps(draw: st.DrawFn) -> Step:
    value = st.sampled_from(VALUES)
    row = st.tuples(value, value, st.sampled_from([None, 1, 2]))
    rows = draw(st.dictionaries(st.sampled_from("1234"), row, min_size=1))
    mapping = draw(st.dictionaries(st.sampled_from("fgh"), st.sampled_from(SOURCES), min_size=1))
    return Step(rows, mapping, draw(st.integers(0, 3)) == 0, draw(st.sampled_from(["resend", "restart"])))


HISTORIES = given(history=st.lists(steps(), min_size=2, max_size=4), seed=st.integers(0, 5))


@heavy
@settings(max_examples=1)
@HISTORIES
def test_any_history_of_mappings(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, history: list[Step], seed: int
) -> None:
    live_through(sandbox, tmp_path_factory, history, seed)


@heavy
@settings(max_examples=3)
@HISTORIES
def test_more_histories_of_mappings(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, history: list[Step], seed: int
) -> None:
    live_through(sandbox, tmp_path_factory, history, seed)


def live_through(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory, history: list[Step], seed: int) -> None:
    sandbox.reset()
    shop = Shop(tmp_path_factory.mktemp("shop"))
    for version, step in enumerate(history, 1):
        tell(shop, sandbox, step, version, seed)
    last = history[-1]
    sync = anew(len(history), last.cutover, **last.mapping)
    sandbox.faults.clear()
    shop.run(sync, sink(sandbox.url))
    fields = sorted(last.mapping)
    held = shown(sandbox, *fields)
    for key, values in last.rows.items():
        named = dict(zip("abn", values, strict=True))
        sources = (last.mapping[field] for field in fields)
        assert held[key] == tuple(named[s] if isinstance(s, str) else s["constant"] for s in sources)
    assert shop.run(sync, sink(sandbox.url)).change_set == 0
    shop.close()


def tell(shop: Shop, sandbox: Sandbox, step: Step, version: int, seed: int) -> None:
    sandbox.faults.clear()
    if step.refuse:
        sandbox.fault("refuse_rows", percent=50, seed=seed)
    shop.build("select ''::varchar id, ''::varchar a, ''::varchar b, 0::integer n where false")
    shop.sql(*(f"insert into marts.people values ({', '.join(map(sql, (k, *v)))})" for k, v in step.rows.items()))
    shop.run(anew(version, step.cutover, **step.mapping), sink(sandbox.url))


def sql(value: str | int | Decimal | None) -> str:
    return "null" if value is None else repr(value)
