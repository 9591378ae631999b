"""What a run wrote over is kept for an undo: of each row just what was there, if that is known. Told by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reverse_etl_assets.records import Reason, Status
from tests.engine.by_hand import AMBIGUOUS, IN_FLIGHT, REFUSED, UNANSWERED, Told, by_hand

OLD, NEW = ("Old", "Oslo"), ("New", "Oslo")
WRITTEN = '{"name":"Old","city":"Oslo"}'
READ = {"read": True, "before": '{"name":"Mine"}', "sent": ["name"]}
NOT_THERE = {"read": True}


def lost(note: dict[str, Any] | None = None, **more: Any) -> Told:
    return Told(AMBIGUOUS.status, AMBIGUOUS.reason, note=note, **more)


CHANGED = {
    "changed": Told(),
    "changed elsewhere": Told(id="other"),
    "changed, read": Told(note=READ),
    "changed, lost": AMBIGUOUS,
    "changed, unnamed": UNANSWERED,
    "changed, in flight": IN_FLIGHT,
    "changed, lost, read": lost(READ),
    "changed, refused": REFUSED,
    "changed, refused, read": Told(REFUSED.status, REFUSED.reason, note=READ),
    "changed, same": Told(Status.SKIPPED, Reason.SAME, note=READ),
    "made anew": Told(Status.CREATED, id="new", anew=True),
    "perhaps made anew": Told(id="new", anew=True),
    "made anew, lost": lost(NOT_THERE, anew=True),
    "by an earlier release": Told(anew=None),
}
DELETED = {
    "deleted": Told(),
    "deleted, lost": AMBIGUOUS,
    "deleted, lost, not there": lost(NOT_THERE),
    "deleted, read": Told(note=READ),
}
ADDED = {
    "made": Told(Status.CREATED, note=NOT_THERE),
    "made, unread": Told(Status.CREATED),
    "met, unread": Told(),
    "met, read": Told(note=READ),
    "made, lost": lost(NOT_THERE),
    "made, lost, unread": AMBIGUOUS,
    "met, lost, read": lost(READ),
}


class Image(NamedTuple):
    status: str
    before: str | None
    fields: list[str] | None
    source: str
    destination_id: str | None


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Image]]:
    with by_hand(tmp_path_factory.mktemp("state")) as home:
        known = {key: Told(Status.CREATED, id=f"r {key}") for key in (*CHANGED, *DELETED)}
        home.run("1", dict.fromkeys(("no id", *known), OLD), known)
        second = dict.fromkeys((*CHANGED, *ADDED, "no id"), NEW)
        home.run("2", second, {**CHANGED, **DELETED, **ADDED, "no id": Told(anew=True)})
        assert home.all("select count(*) from state.images where run_id <> '2' or external_id <> key") == [(0,)]
        found = home.all(f"select key, {', '.join(Image._fields)} from state.images")
        yield {key: Image(*row) for key, *row in found}
        assert len(found) == len({row[0] for row in found})


@pytest.mark.parametrize(
    "key", ["changed", "changed, lost", "changed, unnamed", "changed, in flight", "by an earlier release"]
)
def test_what_was_not_read_was_our_last_write(images: dict[str, Image], key: str) -> None:
    assert images[key] == Image("updated", WRITTEN, None, "synced", f"r {key}")


def test_the_record_is_the_one_that_the_answer_names(images: dict[str, Image]) -> None:
    assert images["changed elsewhere"].destination_id == "other"


@pytest.mark.parametrize("key", ["changed, read", "changed, lost, read"])
def test_what_was_read_is_kept_of_the_fields_that_went_out(images: dict[str, Image], key: str) -> None:
    assert images[key] == Image("updated", '{"name":"Mine"}', ["name"], "destination", f"r {key}")


@pytest.mark.parametrize("key", ["met, read", "met, lost, read"])
def test_a_record_that_was_somebodys_is_no_new_one(images: dict[str, Image], key: str) -> None:
    assert images[key] == Image("updated", '{"name":"Mine"}', ["name"], "destination", None)


def test_what_was_deleted_or_may_have_been(images: dict[str, Image]) -> None:
    for key in ("deleted", "deleted, lost"):
        assert images[key] == Image("deleted", WRITTEN, None, "synced", f"r {key}")
    assert images["deleted, read"] == Image("deleted", '{"name":"Mine"}', ["name"], "destination", "r deleted, read")


@pytest.mark.parametrize("key", ["made, lost", "made anew, lost"])
def test_a_record_that_may_have_been_made_had_nothing_before(images: dict[str, Image], key: str) -> None:
    """Of a row whose record was gone that is no record that is known."""
    assert images[key] == Image("created", None, None, "destination", None)


def test_a_row_without_an_id_went_out_to_its_record(images: dict[str, Image]) -> None:
    assert images["no id"] == Image("updated", WRITTEN, None, "synced", None)


@pytest.mark.parametrize(
    "key",
    [
        "changed, refused",
        "changed, refused, read",
        "changed, same",
        "made",
        "made, unread",
        "made anew",
        "perhaps made anew",
        "met, unread",
        "made, lost, unread",
        "deleted, lost, not there",
    ],
)
def test_nothing_is_kept_where_nothing_was_written_over_or_nobody_knows_what(
    images: dict[str, Image], key: str
) -> None:
    assert key not in images


def test_what_changed_alone_goes_back_where_it_went_out_alone(tmp_path: Path) -> None:
    with by_hand(tmp_path, partial=True) as home:
        home.run("1", {"a": OLD})
        home.run("2", {"a": NEW})
        assert home.all("select fields, before from state.images") == [(["name"], WRITTEN)]
