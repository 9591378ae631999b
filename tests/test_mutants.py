"""`make mutants` looks where something is decided, in Python and in SQL, and its table of tests is true."""

from pathlib import Path

import pytest

from tests.mutants.nearest import NEAREST
from tests.mutants.places import mutants
from tests.mutants.python_places import python_places
from tests.mutants.sql_places import sql_places

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reverse_etl_assets"


def test_the_modules_and_tests_of_the_table_are_there() -> None:
    named = [*(PACKAGE / file for file in NEAREST), *(ROOT / test for tests in NEAREST.values() for test in tests)]
    assert [str(path) for path in named if not path.is_file()] == []
    assert all(NEAREST.values())


def test_no_sql_is_left_out() -> None:
    decides = {str(path.relative_to(PACKAGE)) for path in (PACKAGE / "sql").glob("*.sql")} - {"sql/state.sql"}
    assert decides <= NEAREST.keys()


SQL = {
    "select 1 where a and b": {"where b", "where a", "where a or b", "where true"},
    "where key in (select key from held)": {"where true", "where key not in (select key from held)"},
    "where s in ('a', 'b', 'c')": {"in ('b', 'c')", "in ('a', 'c')", "in ('a', 'b')", "s not in ('a'", "where true"},
    "on a is distinct from b": {"on a is not distinct from b"},
    "on a is not null": {"on a is null"},
    "left join b": {"join b"},
    "join b using (id)": {"left join b using (id)"},
    "coalesce(a, case when b then c end)": {
        "(a)",
        "(case when b then c end)",
        "coalesce(a, case when true then c end)",
        "coalesce(a, case when false then c end)",
    },
    "case when a then b else c end": {"when true then", "when false then", "then b  end"},
    "on a between 1 and 2": {"between 2 and 2", "between 1 and 3"},
    "on not a": {"on a"},
    "update t set a = b where c = 2": {"c <> 2", "c = 3", "where true"},
    "create or replace table t as select a -- a and b": set(),
    "{% if a %} and {{ b }}{% endif %}": {"{% if not (a) %}", "{% if a %} {% endif %}", "or {{ b }}"},
    "{{ a if b else c }}": {"{{ a }}", "{{ c }}"},
}

PYTHON = {
    "x = a and b": {"(a or b)", "(b)", "(a)"},
    "if a < b:\n    f()\nelse:\n    g()": {"a <= b", "not (a < b)", "if a < b:\n    pass", "else:\n    pass"},
    "if a is None:\n    x = b": {"a is not None", "if a is None:\n    pass"},
    "x = a in (b, c)": {"a not in (b, c)", "a in (c)", "a in (b,)"},
    "f(a, b=c)": {"f(a, )", "pass"},
    "x = A.B | A.C": {"x = A.B", "x = A.C"},
    "x = b if a else c": {"x = (b)", "x = (c)"},
    "x = [a for a in b if c]": {"if True"},
    "x = a > 7": {"a >= 7", "a > 8"},
    'x: int | None = f("a")': set(),
    'raise E("no" if a else "yes")': set(),
    'log.info("%s", a)': set(),
    '"""A docstring: select a where b and c."""': set(),
    "x = con.execute(f\"select a from {t} where {' and '.join(b)} and a is not null\")": {
        "where a is not null",
        "or a is not null",
        "and a is null",
    },
}


@pytest.mark.parametrize("text", SQL)
def test_places_in_sql(text: str) -> None:
    agree([mutant.mutated() for mutant in mutants("a.sql", text, sql_places(text))], SQL[text])


@pytest.mark.parametrize("text", PYTHON)
def test_places_in_python(text: str) -> None:
    agree([mutant.mutated() for mutant in mutants("a.py", text, python_places(text))], PYTHON[text])


def agree(found: list[str], wanted: set[str]) -> None:
    """Each is found, and nothing where nothing is wanted."""
    shown = [" ".join(text.split()) for text in found]
    assert [want for want in wanted if not any(" ".join(want.split()) in text for text in shown)] == []
    assert len(set(shown)) == len(shown)
    assert found == [] or wanted
