"""A query in place of a model: what it may read, what is refused with its line, and how it runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.dbt.results import judge_results
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import SpecError, StateError
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, sink
from tests.heavy import heavy
from tests.journal_entries import record_model_results

PEOPLE = Model(
    "people",
    "model.shop.people",
    "marts",
    "people",
    {"id": None, "email": None},
    {},
    {"email": "email"},
    tests=("unique",),
)
ORDERS = Model("orders", "model.shop.orders", "marts", "orders", {}, {}, upstream=("source.shop.raw.orders",))
OLD = replace(ORDERS, name="old", unique_id="model.shop.old", unusable="is disabled in dbt.")
PASSING = replace(ORDERS, name="passing", unique_id="model.shop.passing", materialized="ephemeral")
RAW = replace(ORDERS, name="source.raw.people", unique_id="source.shop.raw.people", schema="raw", identifier="people")
REST = "destination: sink\nobject: people\nprimary_key: id\nmapping: {id: id, name: name}\nsync_mode: incremental\n"
JOINED = """\
query: |
  with paid as (select id, count(*) as n from {{ ref('orders') }} group by all)
  select p.id, 'n' || coalesce(n, 0) as name -- as text
  from {{ source('raw', 'people') }} as p left join paid using (id);
"""


def known() -> dict[str, Model]:
    models = {each.name: each for each in (PEOPLE, ORDERS, OLD, PASSING, RAW)}
    return {**models, "shop.people": PEOPLE, "people.v1": PEOPLE}


def load(folder: Path, text: str, models: dict[str, Model] | None = None, rest: str = REST) -> Sync:
    (folder / "a.yml").write_text(text + rest)
    return load_syncs(folder, known() if models is None else models, {"sink": Webhook})["a"]


def test_what_it_reads_is_known(tmp_path: Path) -> None:
    models = known()
    sync = load(tmp_path, JOINED, models)
    query = models[sync.model]
    assert (sync.model, query.name) == ("query of a", "query of a")
    assert query.depends_on == ("model.shop.orders", "source.shop.raw.people")
    assert set(query.upstream) == {*query.depends_on, "source.shop.raw.orders"}
    assert PEOPLE.depends_on == ("model.shop.people",)


@pytest.mark.parametrize("call", ["ref('people')", "ref('shop', 'people')", "ref('people', v=1)"])
def test_a_file_beside_the_syncs(tmp_path: Path, call: str) -> None:
    (tmp_path / "people.sql").write_text(f"{{# a comment #}}\nselect id, id as name from {{{{ {call} }}}}\n")
    sync = load(tmp_path, "query: people.sql\n", rest=REST + "allow_pii: {}\n")
    assert sync.query is not None
    assert sync.query.startswith("{# a comment #}")


WRONG: Mapping[str, tuple[str, str]] = {
    "two": ("select 1 as id; select 2", "line 1 of it: it has 2 statements; a query is one SELECT; it only reads."),
    "a change": ("drop table {{ ref('people') }}", "line 1 of it: a query is one SELECT; it only reads."),
    "a change within": (
        "with a as (insert into t values (1) returning *) from a",
        "line 1 of it: a query is one SELECT",
    ),
    "no SQL": ("select id\n  from where", 'line 2 of it: syntax error at or near "where".'),
    "nothing of dbt": ("select 1 as id", "line 1 of it: it reads nothing of dbt"),
    "a table": ("select *\n  from marts.people", "line 2 of it: `marts.people` is a table of one target"),
    "a table below": (
        "select *, (select max(x)\n  from t) from {{ ref('orders') }}",
        "line 2 of it: `t` is a table of one target",
    ),
    "a file": ("from read_csv('x.csv')", "line 1 of it: `read_csv` reads what dbt does not know"),
    "no such model": ("select *\n  from {{ ref('peple') }}", "line 2 of it: ref('peple'): there is no model `peple`."),
    "disabled": ("from {{ ref('old') }}", "line 1 of it: ref('old'): `old` is disabled in dbt."),
    "ephemeral": ("from {{ ref('passing') }}", "line 1 of it: ref('passing'): `passing` is ephemeral"),
    "no such source": ("from {{ source('raw', 'x') }}", "line 1 of it: source('raw', 'x'): there is no model"),
    "a var": (
        "select\n  {{ var('x') }}",
        "line 2 of it: 'var' is undefined; a query knows `ref()` and `source()` alone",
    ),
    "no template": ("select\n  {{ ref(", "line 2 of it: "),
    "empty": (" ", "line 1 of it: it is empty; write one SELECT"),
    "a look at tables": ("show tables", "line 1 of it: a query is one SELECT"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    text, why = WRONG[case]
    with pytest.raises(SpecError) as said:
        load(tmp_path, f"query: |\n  {text}\n")
    assert f"a.yml:1: query: {why}" in str(said.value)
    (tmp_path / "a.sql").write_text(text)
    with pytest.raises(SpecError) as said:
        load(tmp_path, "query: a.sql\n")
    line, _, rest = why.removeprefix("line ").partition(" of it: ")
    assert f"{tmp_path}/a.sql:{line}: {rest}" in str(said.value)


def test_a_model_or_a_query(tmp_path: Path) -> None:
    for text, why in (
        ("query: a\nmodel: people\n", "a.yml:1: query: give `model` or `query`, not both."),
        ("", "a.yml:1: `model` is missing."),
        ("query: nowhere.sql\n", "a.yml:1: query: "),
        ("query: |\n  from {{ ref('orders') }}\nmodel_version: 1\n", "a.yml:3: model_version: a query has no versions"),
    ):
        with pytest.raises(SpecError) as said:
            load(tmp_path, text)
        assert why in str(said.value)


@pytest.mark.parametrize(
    ("select", "refused"),
    [
        ("id, upper(email) as name", True),
        ("* exclude (id), id as id, 'x' as name", True),
        ("id, email as name", True),
        ("id, 'x' as name", False),
    ],
)
def test_what_is_made_of_personal_data_is_personal(tmp_path: Path, select: str, refused: bool) -> None:
    text = f"query: |\n  select {select} from {{{{ ref('people') }}}}\n"
    if not refused:
        assert load(tmp_path, text)
        return
    with pytest.raises(SpecError, match=r"`name` of `query of a` is personal data \(perhaps made of `email`, email\)"):
        load(tmp_path, text)
    assert load(tmp_path, text, rest=REST + "allow_pii: {name: They asked.}\n")


def test_it_runs_as_a_model_does(shop: Shop, tmp_path: Path, sandbox: Sandbox) -> None:
    shop.build("select 1 as id union all select 2", "orders")
    shop.sql("create schema raw", "create table raw.people as select 1 as id union all select 3")
    shop.models.update({"orders": ORDERS, "source.raw.people": RAW})
    (tmp_path / "syncs").mkdir()
    sync = load(tmp_path / "syncs", JOINED, shop.models).model_copy(update={"options": SINK})
    report = shop.run(sync, sink(sandbox.url))
    assert report.counts["created"] == 2
    assert {entry.values["name"] for entry in sandbox.rest.tables["people"].live()} == {"n1", "n0"}
    shop.sql("insert into marts.orders values (3)")
    assert shop.run(sync, sink(sandbox.url)).counts["updated"] == 1
    shop.sql("drop table marts.orders")
    with pytest.raises(StateError, match="model orders is not built yet"):
        shop.run(sync, sink(sandbox.url))


def test_tests_of_what_it_reads_count(shop: Shop, tmp_path: Path) -> None:
    models = known()
    query = models[load(tmp_path, "query: |\n  select id, 'x' as name from {{ ref('people') }}\n", models).model]
    record_model_results(shop.journal, "model.shop.people", {"unique": "pass", "build": "pass"})
    found = judge_results(query, shop.journal, {})
    assert (found.bad, found.good, found.unknown) == ((), 2, "dbt does not test a query")
    record_model_results(shop.journal, "model.shop.people", {"unique": "fail"})
    assert judge_results(query, shop.journal, {}).bad == ("unique of people",)


@heavy
def test_its_text_is_part_of_the_plans_id(shop: Shop, tmp_path: Path, sandbox: Sandbox) -> None:
    """Rows that are the same are not the plan that was looked at, if they come from elsewhere; the sync goes on."""
    shop.build("select 1 as id", "orders")
    shop.models["orders"] = ORDERS
    (tmp_path / "syncs").mkdir()
    texts = (
        "select id, 'a' as name from {{ ref('orders') }}",
        "select id, lower('A') as name from {{ ref('orders') }}",
    )
    syncs = [
        load(tmp_path / "syncs", f"query: |\n  {text}\n", shop.models).model_copy(update={"options": SINK})
        for text in texts
    ]
    one, two = (preview(sync, shop.environment, sink(sandbox.url)) for sync in syncs)
    assert one.plan_id
    assert one.plan_id != two.plan_id
    assert one.identity is not None
    assert two.identity is not None
    assert one.identity.basis["rows"] == two.identity.basis["rows"]
    first, second = (shop.run(sync, sink(sandbox.url)) for sync in syncs)
    assert (first.counts["created"], second.counts.get("updated", 0)) == (1, 0)
