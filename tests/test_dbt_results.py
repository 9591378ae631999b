"""What dbt's files say of a model's table, whoever started dbt, and what cannot be said of it."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.dbt.manifest import load_models
from reverse_etl_assets.dbt.results import Dbt, ModelTests, Target, is_of, judge_results, listen
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import ModelResult
from tests.journal_entries import record_model_results

PEOPLE, STAGED, RAW = "model.shop.people", "model.shop.staged", "source.shop.crm.raw"
UNIQUE, NOT_NULL = "test.shop.unique_id", "test.shop.not_null_id"
FRESH, RAW_TEST, UNIT = "test.shop.staged_unique", "test.shop.raw_unique", "unit_test.shop.people.adds_up"
GOOD = {PEOPLE: "success", UNIQUE: "pass", NOT_NULL: "warn"}
NOON = 1_780_000_000.0


def node(kind: str, unique_id: str, **more: Any) -> dict[str, Any]:
    place = {"schema": "marts", "alias": unique_id, "columns": {}}
    return {"resource_type": kind, "unique_id": unique_id, "name": unique_id.split(".")[-1], **place, **more}


MANIFEST = {
    "nodes": {
        PEOPLE: node("model", PEOPLE, depends_on={"nodes": [STAGED]}),
        STAGED: node("model", STAGED, depends_on={"nodes": [RAW]}),
        UNIQUE: node("test", UNIQUE, attached_node=PEOPLE),
        NOT_NULL: node("test", NOT_NULL, attached_node=None, depends_on={"nodes": [PEOPLE]}),
        FRESH: node("test", FRESH, attached_node=STAGED),
        RAW_TEST: node("test", RAW_TEST, depends_on={"nodes": [RAW]}),
    },
    "sources": {RAW: node("source", RAW, source_name="crm")},
    "unit_tests": {UNIT: node("unit_test", UNIT, depends_on={"nodes": [PEOPLE]})},
}


class Warehouse:
    """dbt's folder of results, and the journal of whoever looks there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOON
        (folder / "manifest.json").write_text(json.dumps(MANIFEST))
        self.journal = Journal.open(f"sqlite:///{folder / 'journal.sqlite'}", clock=lambda: self.now)

    def dbt(self, command: str, statuses: Mapping[str, str], *, into: str = "", **args: Any) -> None:
        """One command; each of its nodes takes a second."""
        results = []
        for unique_id, status in statuses.items():
            self.now += 1
            timing = [] if status == "skipped" else [{"name": "execute", "completed_at": self.time}]
            results.append({"unique_id": unique_id, "status": status, "timing": timing})
        said = {"metadata": {"generated_at": self.time}, "args": {"which": command, **args}, "results": results}
        (self.folder / into).mkdir(exist_ok=True)
        (self.folder / into / "run_results.json").write_text(json.dumps(said))

    @property
    def time(self) -> str:
        return datetime.fromtimestamp(self.now, UTC).isoformat().replace("+00:00", "Z")

    def judge(self) -> ModelTests:
        trouble = listen(self.journal, Dbt(self.folder / "manifest.json", "prod"))
        return judge_results(load_models(self.folder / "manifest.json")["people"], self.journal, trouble)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    warehouse = Warehouse(tmp_path)
    yield warehouse
    warehouse.journal.close()


def test_a_good_build(warehouse: Warehouse) -> None:
    warehouse.dbt("build", GOOD)
    assert warehouse.judge() == ModelTests(good=3)


@pytest.mark.parametrize("word", ["partial success", "no-op", "reused", "", "a word of a later dbt", "skipped"])
def test_only_words_that_are_known_to_be_good_are(warehouse: Warehouse, word: str) -> None:
    warehouse.dbt("build", {**GOOD, PEOPLE: word})
    assert warehouse.judge().bad == (f"build ({word})",)


@pytest.mark.parametrize("word", ["success", "pass", "warn"])
def test_words_that_are_known_to_be_good(warehouse: Warehouse, word: str) -> None:
    warehouse.dbt("build", {**GOOD, PEOPLE: word, UNIQUE: word})
    assert warehouse.judge() == ModelTests(good=3)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("error", "unique_id"),
        ("fail", "unique_id"),
        ("Fail", "unique_id"),
        ("runtime error", "unique_id"),
        ("partial success", "unique_id (partial success)"),
    ],
)
def test_a_test_that_failed_is_named(warehouse: Warehouse, word: str, said: str) -> None:
    warehouse.dbt("build", {**GOOD, UNIQUE: word})
    assert warehouse.judge().bad == (said,)


def test_nothing_known(warehouse: Warehouse) -> None:
    assert warehouse.judge() == ModelTests(unknown="no results of dbt are known; build the model with `dbt build`")


def test_a_table_newer_than_its_tests(warehouse: Warehouse) -> None:
    warehouse.dbt("build", GOOD)
    assert warehouse.judge() == ModelTests(good=3)
    warehouse.dbt("run", {PEOPLE: "success"})
    assert warehouse.judge().unknown == "not_null_id, unique_id ran before the model was built anew; run `dbt test`"
    warehouse.dbt("test", {UNIQUE: "pass"})
    assert warehouse.judge().unknown == "not_null_id ran before the model was built anew; run `dbt test`"
    warehouse.dbt("test", {NOT_NULL: "pass"})
    assert warehouse.judge() == ModelTests(good=3)


def test_a_test_that_never_ran(warehouse: Warehouse) -> None:
    warehouse.dbt("build", {PEOPLE: "success", UNIQUE: "pass", NOT_NULL: "skipped"})
    assert warehouse.judge() == ModelTests(good=2, unknown="not_null_id never ran; run `dbt test`")


def test_a_failure_stays_until_the_test_passes(warehouse: Warehouse) -> None:
    """dbt forgets it with its next command."""
    warehouse.dbt("build", {**GOOD, UNIQUE: "fail"})
    warehouse.judge()
    warehouse.dbt("run", {PEOPLE: "success"})
    assert warehouse.judge().bad == ("unique_id, which has not run since the model was built anew",)
    warehouse.dbt("test", {NOT_NULL: "pass", UNIQUE: "skipped"})
    assert len(warehouse.judge().bad) == 1
    warehouse.dbt("test", {UNIQUE: "pass"})
    assert warehouse.judge() == ModelTests(good=3)


@pytest.mark.parametrize("command", ["compile", "generate", "show", "parse", "run-operation", "seed"])
def test_commands_that_build_and_test_nothing(warehouse: Warehouse, command: str) -> None:
    warehouse.dbt("build", {**GOOD, UNIQUE: "fail"})
    warehouse.judge()
    warehouse.dbt(command, dict.fromkeys(GOOD, "success"))
    assert warehouse.judge().bad == ("unique_id",)


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        ({FRESH: "fail"}, "build (skipped, for staged_unique of staged failed)"),
        ({STAGED: "error"}, "build (skipped, for build of staged failed)"),
        ({RAW_TEST: "fail", STAGED: "skipped"}, "build (skipped, for raw_unique of crm.raw failed)"),
    ],
)
def test_what_was_skipped_names_what_failed(warehouse: Warehouse, failed: Mapping[str, str], said: str) -> None:
    skipped = dict.fromkeys(GOOD, "skipped")
    warehouse.dbt("build", {STAGED: "success", FRESH: "pass", RAW_TEST: "pass", **failed, **skipped})
    assert warehouse.judge().bad == (said,)
    warehouse.dbt("build", {STAGED: "success", FRESH: "pass", RAW_TEST: "pass", **GOOD})
    assert warehouse.judge() == ModelTests(good=3)


def test_a_unit_test_runs_before_the_build(warehouse: Warehouse) -> None:
    warehouse.dbt("build", {UNIT: "pass", **GOOD})
    assert warehouse.judge() == ModelTests(good=4)
    warehouse.dbt("build", {UNIT: "fail", **dict.fromkeys(GOOD, "skipped")})
    assert warehouse.judge().bad == ("adds_up", "build (skipped)")


@pytest.mark.parametrize("text", ["", '{"metadata": {"gen', "[]", "{}", '{"args": {"which": "build"}, "results": 3}'])
def test_a_file_that_is_not_whole(warehouse: Warehouse, text: str) -> None:
    warehouse.dbt("build", GOOD)
    assert warehouse.judge().unknown == ""
    (warehouse.folder / "run_results.json").write_text(text)
    found = warehouse.judge()
    assert (found.bad, found.good) == ((), 3)
    assert "run_results.json cannot be read (it is not whole); build or test the model again" in found.unknown


def test_results_of_another_target_are_of_other_tables(warehouse: Warehouse) -> None:
    warehouse.dbt("build", GOOD, target="prod")
    warehouse.judge()
    warehouse.dbt("build", {**GOOD, UNIQUE: "fail"}, target="ci")
    assert warehouse.judge() == ModelTests(good=3)


def test_dbt_under_dagster_has_folders_of_its_own(warehouse: Warehouse) -> None:
    warehouse.dbt("build", GOOD)
    warehouse.dbt("build", {**GOOD, UNIQUE: "fail"}, into="my_dbt_assets-1f")
    assert warehouse.judge().bad == ("unique_id",)


def test_a_test_that_was_deleted_stops_nothing(warehouse: Warehouse) -> None:
    warehouse.dbt("build", GOOD)
    record_model_results(warehouse.journal, PEOPLE, {"a_test_deleted_since": "fail"})
    assert warehouse.judge() == ModelTests(good=3)


def test_the_latest_counts_in_whatever_order_it_is_heard(warehouse: Warehouse) -> None:
    warehouse.dbt("build", GOOD)
    warehouse.judge()
    warehouse.journal.hear_model_results({PEOPLE: [ModelResult("unique_id", "fail", NOON - 60)]})
    assert warehouse.judge().bad == ()
    warehouse.journal.hear_model_results({PEOPLE: [ModelResult("unique_id", "fail", warehouse.now + 1e9)]})
    assert len(warehouse.judge().bad) == 1
    warehouse.dbt("test", {UNIQUE: "pass"})
    assert warehouse.judge().bad == (), "a clock that was ahead must not fix a result for good"


@pytest.mark.parametrize(
    ("default", "args", "place", "ours"),
    [
        ("prod", {}, None, True),
        ("dev", {}, None, False),
        ("dev", {"target": "prod"}, None, True),
        ("prod", {"profile": "other"}, None, False),
        ("prod", {"profile": "shop", "target": "prod"}, None, True),
        (None, {}, '"w"."marts"."model.shop.people"', True),
        (None, {}, '"w"."Marts"."Model.shop.people"', True),
        (None, {}, '"w"."dev"."model.shop.people"', False),
        (None, {"target": "prod"}, '"w"."dev"."model.shop.people"', True),
    ],
)
def test_results_that_name_no_target_are_of_the_profiles_own_or_of_its_places(
    warehouse: Warehouse, default: str | None, args: dict[str, str], place: str | None, ours: bool
) -> None:
    target = Target("prod", default, "shop", load_models(warehouse.folder / "manifest.json").by_id)
    results = [{"unique_id": PEOPLE, "status": "success", "relation_name": place}]
    assert is_of(target, {"args": args, "results": results}) == ours
