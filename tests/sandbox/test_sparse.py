"""Sparse answers lack what a specification does not promise, and nothing else."""

from typing import Any

from reverse_etl_sandbox.server import Sandbox
from reverse_etl_sandbox.sparse import Sparse, Thinner
from reverse_etl_sandbox.wire import Answer, Call

CALL = Call("POST", "/objects/contacts/batch/upsert", "", {}, b"", "http://127.0.0.1")


def thinned(*entries: Sparse, answer: Answer) -> Answer:
    return Thinner(entries).thinned(CALL, answer)


def test_optional_parts_are_left_out_of_lists_and_of_objects() -> None:
    kept: dict[str, Any] = {"results": [{"id": "1", "at": "now", "by": {"a": {"x": 1, "y": 2}}}, {"id": "2"}], "at": 1}
    entry = Sparse("POST /objects/.*upsert$", ("results.*.at", "results.*.by.*.x", "nothing.there", "results.*.id.x"))
    thin = thinned(entry, answer=Answer(200, kept))
    assert thin.content == {"results": [{"id": "1", "by": {"a": {"y": 2}}}, {"id": "2"}], "at": 1}
    assert kept["results"][0]["at"] == "now"  # what the vendor keeps is left alone


def test_documented_statuses_are_used_in_turn_by_successes_alone() -> None:
    thinner = Thinner([Sparse("upsert", statuses=(200, 202, 204))])
    answers = [thinner.thinned(CALL, Answer(200, {"id": "1"})) for _ in range(4)]
    assert [(each.status, each.content) for each in answers] == [
        (200, {"id": "1"}),
        (202, {"id": "1"}),
        (204, None),
        (200, {"id": "1"}),
    ]
    assert thinner.thinned(CALL, Answer(400, {"id": "1"})).status == 400


def test_every_vendor_says_what_it_need_not_answer(sandbox: Sandbox) -> None:
    vendors = {vendor.name: vendor.sparse for vendor in sandbox.app.vendors.values()}
    assert {name for name, sparse in vendors.items() if not sparse} == set()


def test_other_calls_are_answered_in_full() -> None:
    answer = Answer(200, {"id": "1"})
    assert thinned(Sparse("GET /objects", ("id",), (204,)), answer=answer) is answer
