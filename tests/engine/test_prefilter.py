"""Comparing only what was modified lately loses no row: ties, late rows, failed rows, other mappings."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first_rows, heavy

START = datetime(2026, 1, 1)
HOUR = 3600.0


class Clock:
    now = 1_767_225_600.0 + 86_400.0  # a day after the start

    def __call__(self) -> float:
        return self.now


def lately(**changes: Any) -> Sync:
    how = {"last_modified_at": "at", "lookback": "1 hour", "full_compare_every": "1 day"}
    return sink_sync(**{"change_detection": how, "guards": {"row_count": {}}, **changes})


class Diary:
    """A model whose rows carry the time of their modification, in hours after the start."""

    def __init__(self, shop: Shop, sandbox: Sandbox, clock: Clock) -> None:
        self.shop, self.sandbox, self.clock = shop, sandbox, clock
        shop.build("select ''::varchar id, ''::varchar as name, now()::timestamp as at where false")

    def write(self, key: str, name: str, hours: float) -> None:
        at = START + timedelta(hours=hours)
        self.shop.sql(
            f"delete from marts.people where id = '{key}'",
            f"insert into marts.people values ('{key}', '{name}', '{at}')",
        )

    def run(self, sync: Sync, hours: float = 1.0) -> Report:
        self.clock.now += hours * HOUR
        return self.shop.run(sync, sink(self.sandbox.url))

    def told(self) -> dict[str, Any]:
        table = self.sandbox.rest.tables.get("people")
        return {entry.id: entry.values["name"] for entry in table.live()} if table else {}


@pytest.fixture
def diary(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Diary:
    clock = Clock()
    return Diary(Shop(tmp_path_factory.mktemp("shop"), clock=clock), sandbox, clock)


def test_only_what_was_modified_is_compared(diary: Diary) -> None:
    """It would otherwise be of no use; a changed row with an old time waits for the next full compare."""
    for key in "abc":
        diary.write(key, "first", 0)
    diary.write("new", "first", 10)
    diary.run(lately())
    diary.write("a", "second", 0)
    diary.write("b", "second", 9.5)  # within the lookback
    diary.write("c", "second", 10)  # a tie with the newest
    diary.run(lately())
    assert diary.told() == {"a": "first", "b": "second", "c": "second", "new": "first"}
    diary.run(lately(), hours=24)
    assert diary.told()["a"] == "second"


@heavy
def test_a_row_without_a_time_is_compared(diary: Diary) -> None:
    diary.write("a", "first", 5)
    diary.run(lately())
    diary.shop.sql("insert into marts.people values ('b', 'second', null)")
    diary.run(lately())
    assert diary.told() == {"a": "first", "b": "second"}


@heavy
def test_a_failed_row_is_tried_again_however_old(diary: Diary) -> None:
    diary.write("a", "first", 0)
    diary.write("b", "first", 10)
    diary.sandbox.fault("refuse_rows", percent=100)
    diary.run(lately())
    diary.sandbox.faults.clear()
    diary.write("c", "first", 20)
    diary.run(lately())
    assert diary.told() == {"a": "first", "b": "first", "c": "first"}


@heavy
def test_a_row_that_was_rejected_is_sent_once_it_is_right(diary: Diary) -> None:
    diary.write("a", "first", 0)
    diary.shop.sql("insert into marts.people select * from marts.people")
    diary.write("b", "first", 10)
    assert diary.run(lately()).counts["failed_invalid"] == 2
    diary.write("a", "only", 0)
    diary.run(lately())
    assert diary.told() == {"a": "only", "b": "first"}


ANEW = {"version": 2, "cutover": "resend"}


@heavy
@pytest.mark.parametrize(
    ("mapping", "changes"),
    first_rows([({"name": "name", "also": "name"}, {}), ({"name": {"constant": "x"}}, ANEW), ({"name": "id"}, ANEW)]),
    ids=repr,
)
def test_another_mapping_is_told_to_old_rows_too(
    diary: Diary, mapping: dict[str, Any], changes: dict[str, Any]
) -> None:
    diary.write("a", "first", 0)
    diary.write("b", "first", 10)
    diary.run(lately())
    assert diary.run(lately(mapping={"id": "id", **mapping}, **changes)).counts["updated"] == 2
    assert diary.run(lately(mapping={"id": "id", **mapping}, **changes)).change_set == 0


@heavy
def test_a_column_of_another_type_is_told_for_old_rows_too(diary: Diary) -> None:
    """The file says the same as before, and every value is another: a number, and no text."""
    diary.write("a", "1", 0)
    diary.write("b", "1", 10)
    diary.run(lately())
    diary.shop.sql("alter table marts.people alter name set data type integer")
    diary.run(lately())
    assert diary.told() == {"a": 1, "b": 1}


def test_rows_removed_are_found_at_the_next_full_compare(diary: Diary) -> None:
    for key in "abcdefgh":
        diary.write(key, "first", 0)
    mirror = lately(sync_mode="mirror")
    diary.run(mirror)
    diary.shop.sql("delete from marts.people where id = 'a'")
    assert diary.run(mirror).counts["deleted"] == 0
    assert diary.run(mirror, hours=24).counts["deleted"] == 1


EDIT = st.tuples(st.sampled_from("abcde"), st.sampled_from(["x", "y", "z"]), st.sampled_from([-0.9, -0.5, 0.0, 0.0]))


@settings(max_examples=3)
@given(runs=st.lists(st.tuples(st.lists(EDIT, max_size=3), st.integers(0, 2)), min_size=3, max_size=6))
@heavy
def test_no_edit_within_the_lookback_is_lost(
    tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox, runs: list[tuple[list[Any], int]]
) -> None:
    """Edits come with the run's own time, or late by less than the lookback; every third run many rows fail."""
    sandbox.reset()
    clock = Clock()
    diary = Diary(Shop(tmp_path_factory.mktemp("shop"), clock=clock), sandbox, clock)
    wanted: dict[str, str] = {}
    for number, (edits, trouble) in enumerate([*runs, ([], 0)]):
        for key, name, late in edits:
            diary.write(key, name, number + late)
            wanted[key] = name
        sandbox.faults.clear()
        if trouble == 2:
            sandbox.fault("refuse_rows", percent=60, seed=number)
        diary.run(lately(), hours=0.5)
    assert diary.told() == wanted
    diary.shop.close()
