"""What an undo means to do with each row, whatever a run did with it: one state, in which much has happened."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.runs.undo.plan import plan_undo
from reverse_etl_assets.state import held_rows
from tests.engine.by_hand import AMBIGUOUS, DONE, REFUSED, UNANSWERED, ByHand, People, Told, by_hand
from tests.engine.shop import SINK, sink
from tests.heavy import heavy

NOBODY = "http://127.0.0.1:9"
OLD, NEW = ("Old", "Oslo"), ("New", "Oslo")
WAS = ("read", "owner", "same", "changed", "deleted", "doubt", "unnamed", "doubt deleted", "refused", "agreed", "later",
       "later deleted", "lost", "back", "doubt later", "doubt refused later", "undone", "unmapped", "misfit",
       "arrived changed", "twin of before", "undone otherwise")  # fmt: skip
GO = ("deleted", "doubt deleted", "back")
COME = (
    "made too",
    "made",
    "doubt made",
    "doubt theirs",
    "doubt unread",
    "arrived",
    "arrived somewhere",
    "nobody",
    "shared",
    "twin",
    "arrived theirs",
    "arrived, was there",
)
THEIRS = {"read": True, "before": '{"name":"Theirs"}', "sent": ["name"]}
HELD = Told(AMBIGUOUS.status, AMBIGUOUS.reason, error=AMBIGUOUS.error, once=True)


class Row(NamedTuple):
    """A row of the change set."""

    kind: str
    operation: str | None
    reason: str | None
    message: str | None
    destination_id: str | None
    external_id: str
    changed_fields: list[str] | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    sent: str | None
    sent_fields: list[str] | None
    untold: list[str] | None
    stays_synced: bool
    source: str | None
    in_doubt: bool
    has_arrived: bool


class Undone(NamedTuple):
    plan: Plan
    rows: dict[str, Row]


@pytest.fixture(scope="module")
def undone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undone]:
    """The change set that undoes run 2, once run 3 has gone on."""
    with by_hand(
        tmp_path_factory.mktemp("state"), mapping={f: f for f in ("id", "name", "city")}, options=SINK
    ) as home:
        happened(home)
        yield change_set(home)


def happened(home: ByHand) -> None:
    home.run("1", dict.fromkeys(WAS, OLD), {key: Told(Status.CREATED, id=f"r {key}") for key in WAS})
    home.con.execute("update state.synced set _retl_untold = ['name'] where _retl_key = 'same'")
    second = {key: NEW for key in (*WAS, *COME) if key not in (*GO, "same", "owner")} | dict.fromkeys(
        ("same", "owner"), OLD
    )
    created = {key: Told(Status.CREATED, id=f"r {key}") for key in ("made", "made too")}
    told = {
        **created,
        "read": Told(note={"read": True, "before": '{"name":"Mine"}', "sent": ["name"]}),
        "doubt": AMBIGUOUS,
        "unnamed": UNANSWERED,
        "doubt deleted": AMBIGUOUS,
        "doubt made": Told(AMBIGUOUS.status, AMBIGUOUS.reason, note={"read": True}),
        "doubt theirs": Told(UNANSWERED.status, UNANSWERED.reason, note=THEIRS),
        "doubt unread": AMBIGUOUS,
        "refused": REFUSED,
        "agreed": Told(Status.SKIPPED, Reason.SAME),
        "doubt later": AMBIGUOUS,
        "doubt refused later": AMBIGUOUS,
        "arrived": HELD,
        "arrived somewhere": HELD,
        "arrived changed": HELD,
        "arrived theirs": replace(HELD, note=THEIRS),
        "arrived, was there": replace(HELD, id="r arrived, was there"),
        "nobody": Told(id="r nobody"),
        "shared": Told(id="r owner"),
        "twin": Told(id="r made"),
        "twin of before": Told(id="r made too"),
        "misfit": Told(note={"read": True, "before": '{"name":{"a":1}}', "sent": ["name"]}),
    }
    home.run("2", second, told)
    for key in ("arrived", "arrived theirs", "arrived, was there", "arrived changed"):
        held_rows.arrived(home.con, home.columns, key, f"r {key}")
    held_rows.arrived(home.con, home.columns, "arrived somewhere", None)
    third = {key: NEW for key in second if key not in ("later deleted", "same", "owner")}
    third |= dict.fromkeys(("same", "owner"), OLD) | dict.fromkeys(("back", "later", "doubt later"), ("Newer", "Oslo"))
    del third["doubt unread"]
    home.run("3", third, dict.fromkeys(("later", "later deleted", "back", "doubt later"), DONE), rest=REFUSED)
    home.con.execute("delete from state.synced where _retl_key = 'lost'")
    home.con.execute("update state.synced set _retl_run = 'an undo' where _retl_key = 'undone'")
    home.con.execute("update state.synced set _retl_run = 'another undo' where _retl_key = 'undone otherwise'")
    home.con.execute("update state.synced set _retl_untold = ['city'] where _retl_key in ('read', 'misfit')")
    home.con.execute("update state.images set before = '{\"gone\":1}', fields = ['gone'] where key = 'unmapped'")


def change_set(home: ByHand) -> Undone:
    _, plan = plan_undo(home.con, home.sync, sink(NOBODY), "2", undos=["an undo"])
    found = home.all(f"select key, {', '.join(Row._fields)} from state.outbox")
    rows = {key: Row(*row) for key, *row in found}
    assert len(rows) == len(found)
    return Undone(plan, rows)


def values(name: str | None, key: str, city: str | None = "Oslo") -> dict[str, str | None]:
    return {"id": key, "name": name, "city": city}


# What is put back


@pytest.mark.parametrize(
    "key", ["changed", "doubt", "unnamed", "doubt refused later", "arrived changed", "twin of before"]
)
def test_our_last_write_is_put_back_into_the_same_record(undone: Undone, key: str) -> None:
    """Whether the answer came, was lost, or did not name the row."""
    row = undone.rows[key]
    assert (row.kind, row.operation, row.reason, row.message) == ("changed", "update", None, None)
    record_id = "r made too" if key == "twin of before" else f"r {key}"
    assert (row.destination_id, row.external_id) == (record_id, key)
    assert (row.changed_fields, row.sent_fields) == (["id", "name", "city"], None)
    assert (row.before, row.after) == (values("New", key), values("Old", key))
    assert row.sent == f'{{"id":"{key}","name":"Old","city":"Oslo"}}'
    assert (row.untold, row.stays_synced, row.source) == (None, True, "synced")


def test_of_a_record_that_was_read_only_the_fields_that_were_written_go_back(undone: Undone) -> None:
    row = undone.rows["read"]
    assert (row.operation, row.changed_fields, row.sent_fields) == ("update", ["name"], ["name"])
    assert (row.before, row.after, row.sent) == (values("New", "read"), values("Mine", "read"), '{"name":"Mine"}')
    assert (row.stays_synced, row.source) == (True, "destination")


def test_a_value_that_its_column_cannot_hold_goes_back_and_is_sent_again_later(undone: Undone) -> None:
    row = undone.rows["misfit"]
    assert (row.operation, row.sent, row.after) == ("update", '{"name":{"a":1}}', values(None, "misfit"))
    assert sorted(row.untold or []) == ["city", "name"]


def test_a_field_that_was_not_told_before_is_still_to_be_told(undone: Undone) -> None:
    assert undone.rows["read"].untold == ["city"]


def test_a_record_that_was_somebodys_is_not_deleted(undone: Undone) -> None:
    """Nor is its row synced afterwards, for it was not before."""
    row = undone.rows["doubt theirs"]
    assert (row.kind, row.operation, row.changed_fields, row.stays_synced) == ("changed", "update", ["name"], False)
    assert (row.before, row.after) == (values("New", "doubt theirs"), {"id": None, "name": "Theirs", "city": None})


def test_nor_is_one_of_which_a_person_has_said_that_the_row_did_arrive(undone: Undone) -> None:
    """What was read of it goes back; of one that was found and not read, nothing is known."""
    row = undone.rows["arrived theirs"]
    assert (row.operation, row.sent, row.stays_synced) == ("update", '{"name":"Theirs"}', False)
    assert undone.rows["arrived, was there"].operation is None


@pytest.mark.parametrize("key", ["made", "twin", "doubt made", "arrived", "arrived somewhere"])
def test_what_the_run_made_is_deleted(undone: Undone, key: str) -> None:
    """Also a record that another row of the run made, and one of which a person has said that it did arrive."""
    row = undone.rows[key]
    ids = {"made": "r made", "twin": "r made", "arrived": "r arrived"}
    assert (row.kind, row.operation, row.reason, row.message) == ("removed", "delete", None, None)
    assert (row.destination_id, row.external_id, row.changed_fields) == (ids.get(key), key, None)
    assert (row.before, row.after, row.sent, row.stays_synced) == (values("New", key), None, None, False)


@pytest.mark.parametrize("key", ["deleted", "doubt deleted"])
def test_what_the_run_deleted_is_made_again(undone: Undone, key: str) -> None:
    row = undone.rows[key]
    assert (row.kind, row.operation, row.reason, row.message) == ("added", "upsert", None, None)
    assert (row.destination_id, row.external_id, row.changed_fields) == (None, key, None)
    assert (row.before, row.after) == (None, values("Old", key))
    assert (row.sent, row.stays_synced) == (f'{{"id":"{key}","name":"Old","city":"Oslo"}}', True)


# What is left


@pytest.mark.parametrize("key", ["refused", "agreed", "owner"])
def test_what_the_run_did_not_write_is_not_looked_at(undone: Undone, key: str) -> None:
    assert key not in undone.rows


@pytest.mark.parametrize("key", ["later", "later deleted", "back", "doubt later"])
def test_what_a_later_run_wrote_is_left_and_that_run_named(undone: Undone, key: str) -> None:
    row = undone.rows[key]
    assert (row.operation, row.reason, row.message) == (None, "edited", "run 3 has written it since")


def test_rows_that_are_left_say_why(undone: Undone) -> None:
    said = {key: (row.kind, row.reason, row.message) for key, row in undone.rows.items() if row.reason}
    for key in ("later", "later deleted", "back", "doubt later"):
        del said[key]
    nobody = "it was not read before the run wrote it, and had not been synced before"
    shares = "so the run wrote over what that row had sent; what the record held before is not known"
    assert said == {
        "lost": ("changed", "edited", "it is not among the synced rows any more"),
        "undone": ("changed", "same", "it was put back already, by run an undo"),
        "undone otherwise": ("changed", "edited", "run another undo has written it since"),
        "same": ("changed", "same", "the run wrote the values that were there"),
        "unmapped": ("rejected", "invalid", "no longer mapped, so not to be put back: gone"),
        "doubt unread": (
            "rejected",
            "invalid",
            "the run sent it, its answer was lost, and nobody knows what had been there",
        ),
        "arrived, was there": (
            "rejected",
            "invalid",
            "the run sent it, its answer was lost, and nobody knows what had been there",
        ),
        "nobody": ("rejected", "invalid", f"what the record held before is not known: {nobody}"),
        "shared": (
            "rejected",
            "invalid",
            f"another row stands for the same record, {shares}, for it was not read by the key of this one",
        ),
        "made too": ("removed", "shared", "another row stands for the same record, so that the record stays"),
    }
    assert {row.operation for row in undone.rows.values() if row.reason} == {None}
    assert (undone.rows["nobody"].after, undone.rows["shared"].after) == (None, None)


def test_rows_are_counted_by_what_is_known_of_them(undone: Undone) -> None:
    doubted = {key for key in undone.rows if key.startswith(("doubt", "unnamed"))}
    assert {key for key, row in undone.rows.items() if row.in_doubt} == doubted
    arrived = {"arrived", "arrived somewhere", "arrived changed", "arrived theirs", "arrived, was there"}
    assert {key for key, row in undone.rows.items() if row.has_arrived} == arrived
    plan = undone.plan
    assert (plan.model_rows, plan.added, plan.changed, plan.removed) == (len(undone.rows), 2, 10, 5)
    assert (plan.unchanged, plan.rejected) == (8, 5)
    assert plan.more == {"from_synced": 8, "from_destination": 4, "in_doubt": len(doubted), "has_arrived": len(arrived)}


@heavy
@pytest.mark.parametrize(("mode", "operation"), [("insert_only", "delete"), ("update_only", None)])
def test_only_what_a_run_could_make_is_deleted_once_a_person_says_that_it_arrived(
    tmp_path: Path, mode: str, operation: str | None
) -> None:
    """An update has made nothing: the record was there."""
    with by_hand(tmp_path, mapping={"id": "id", "name": "name"}, sync_mode=mode, options=SINK) as home:
        home.run("2", {"a": NEW}, rest=HELD)
        held_rows.arrived(home.con, home.columns, "a", "r a")
        assert change_set(home).rows["a"].operation == operation


def undo_of_second(
    home: ByHand, first: People, second: People, told: Mapping[str, Told] | None = None
) -> dict[str, Row]:
    home.run("1", first)
    home.run("2", second, told)
    return change_set(home).rows


def test_what_went_out_alone_goes_back_alone(tmp_path: Path) -> None:
    with by_hand(tmp_path, partial=True, options=SINK) as home:
        (row,) = undo_of_second(home, {"a": OLD}, {"a": NEW}).values()
    assert (row.changed_fields, row.sent_fields) == (["name"], ["name"])


@heavy
def test_a_record_without_values_is_made_again_too(tmp_path: Path) -> None:
    with by_hand(tmp_path, options=SINK) as home:
        (row,) = undo_of_second(home, {"a": (None, None)}, {}).values()
    assert (row.kind, row.operation, row.reason) == ("added", "upsert", None)


@heavy
def test_of_several_runs_that_wrote_a_row_since_the_last_one_is_named(tmp_path: Path) -> None:
    with by_hand(tmp_path, options=SINK) as home:
        home.run("2", {"a": OLD}, rest=AMBIGUOUS)
        home.run("3", {"a": NEW})
        home.run("4", {})
        (row,) = change_set(home).rows.values()
    assert (row.operation, row.message) == (None, "run 4 has written it since")


@heavy
def test_records_are_found_by_the_spelling_that_they_were_written_in(tmp_path: Path) -> None:
    """The destination takes upper and lower case for one; what is shown to people stays as it was."""
    mapping = {"id": "id", "name": "name"}
    with by_hand(tmp_path, fold_case=True, mapping=mapping, options=SINK) as home:
        rows = undo_of_second(home, {"Ann": OLD, "Bob": OLD}, {"Ann": NEW, "Cem": NEW}, {"cem": Told(Status.CREATED)})
    assert {key: (row.operation, row.external_id) for key, row in rows.items()} == {
        "ann": ("update", "Ann"),
        "bob": ("upsert", "Bob"),
        "cem": ("delete", "Cem"),
    }


@heavy
def test_a_field_that_is_not_the_key_finds_no_record(tmp_path: Path) -> None:
    """The field of the external id holds something else in this sync: the key finds the record."""
    with by_hand(tmp_path, mapping={"id": "name", "city": "city"}, options=SINK) as home:
        rows = undo_of_second(home, {"b": OLD}, {"a": NEW}, {"a": Told(Status.CREATED)})
    assert {key: row.external_id for key, row in rows.items()} == {"a": "a", "b": "b"}


@heavy
def test_a_key_that_is_none_in_its_columns_type_is_named(tmp_path: Path) -> None:
    with by_hand(tmp_path, id_type="INTEGER", options=SINK) as home:
        home.run("1", {"1": OLD, "2": OLD})
        home.run("2", {})
        for table in ("outcomes", "images"):
            home.con.execute(f"update state.{table} set key = 'two' where key = '2'")
        rows = change_set(home).rows
    assert (rows["1"].operation, rows["1"].after) == ("upsert", {"name": "Old", "city": "Oslo"})
    said = "the columns of its key cannot be told from its key"
    assert (rows["two"].operation, rows["two"].reason, rows["two"].message) == (None, "invalid", said)
