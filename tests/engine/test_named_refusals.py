"""The status of a request is not that of its rows: APIs that take the good rows of a batch and name the others."""

from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.faults import row_is_hit
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.engine.test_bad_keys import people
from tests.engine.test_garbled import failed, held
from tests.heavy import first, first_rows, heavy

KEYS = [f"c{number}" for number in range(40)]
BAD = {key for key in KEYS if row_is_hit(key, 1, 10.0)}
BY_INDEX = {"path": "errors", "index": "index", "error": "message", "code": "code"}
BY_KEY = {"path": "errors", "key": "id", "error": "message"}
BARE = {"path": "errors", "key": ""}


def batches(query: str = "", mode: str = "append", refused: list[Any] | None = None, **options: Any) -> Sync:
    results = options.pop("results", {"refused": refused} if refused else {})
    plain = {"path": f"/{{{{ object }}}}?results=errors{query}", "record": "{{ fields }}", "batch_size": 40}
    return sink_sync(sync_mode=mode, options={**plain, "results": results, **options})


@pytest.fixture
def picky(shop: Shop, sandbox: Sandbox) -> Sandbox:
    """Refuses some of 40 rows."""
    assert 0 < len(BAD) < 10
    sandbox.fault("refuse_rows", vendor="rest", percent=10.0, seed=1)
    people(shop, 40)
    return sandbox


def sent_twice(sandbox: Sandbox) -> int:
    return sandbox.rest.tables["people"].counters.updated


# What the options read


@heavy
@pytest.mark.parametrize("status", first([201, 400]))
@pytest.mark.parametrize(
    ("query", "refused"),
    first_rows(
        [
            ("", BY_INDEX),
            ("", BY_KEY),
            ("&bare=1", BARE),
            ("&list=failed_records", {**BY_INDEX, "path": "failed_records"}),
        ],
        2,
    ),
)
@pytest.mark.parametrize("mode", first(["append", "incremental"]))
def test_the_named_rows_fail_and_the_others_are_inferred(
    shop: Shop, picky: Sandbox, mode: str, query: str, refused: dict[str, str], status: int
) -> None:
    sync = batches(f"{query}&status={status}", mode, [{"path": "elsewhere", "key": "id"}, refused], success=[200, 201])
    report = shop.run(sync, sink(picky.url))
    assert report.status is RunStatus.DONE
    assert failed(shop, sync, report) == dict.fromkeys(BAD, "rejected")
    assert held(picky) == set(KEYS) - BAD
    others = [each for key, each in shop.by_key(sync, report).items() if key not in BAD]
    assert all(each.inferred for each in others)
    assert len(picky.log.lines()) == 1
    words = {str(each.message) for key, each in shop.by_key(sync, report).items() if key in BAD}
    assert words == {"named in `errors`" if "bare" in query else "Refused by a rule of the sandbox"}
    assert shop.run(sync, sink(picky.url)).counts["failed_rejected"] == len(BAD)
    assert sent_twice(picky) == 0


@heavy
@pytest.mark.parametrize("mode", first(["append", "incremental"]))
def test_where_one_refuses_all_the_others_go_again_without_it(shop: Shop, picky: Sandbox, mode: str) -> None:
    sync = batches("&whole=1", mode, [BY_INDEX], refuses_whole=True)
    report = shop.run(sync, sink(picky.url))
    assert failed(shop, sync, report) == dict.fromkeys(BAD, "rejected")
    assert held(picky) == set(KEYS) - BAD
    assert len(picky.log.lines()) == 2
    assert sent_twice(picky) == 0


@heavy
def test_rows_that_the_answer_does_not_count_are_in_doubt(shop: Shop, picky: Sandbox) -> None:
    """Only one of the lists is read, and the other is said to mean nothing; the count shows that there is more."""
    read = {"refused": [{"path": "duplicates", "key": "id"}], "taken": "inserted", "ignored": ["errors"]}
    sync = batches(results=read)
    report = shop.run(sync, sink(picky.url))
    assert failed(shop, sync, report) == dict.fromkeys(KEYS, "ambiguous")
    right = batches(results={"refused": [BY_INDEX], "taken": "inserted"}, mode="incremental")
    report = shop.run(right.model_copy(update={"sync": "another"}), sink(picky.url))
    assert failed(shop, right.model_copy(update={"sync": "another"}), report) == dict.fromkeys(BAD, "rejected")


@heavy
@pytest.mark.parametrize("mode", first(["append", "incremental"]))
def test_errors_that_no_setting_reads_are_no_success(shop: Shop, picky: Sandbox, mode: str) -> None:
    sync = batches(mode=mode)
    report = shop.run(sync, sink(picky.url))
    assert failed(shop, sync, report) == dict.fromkeys(KEYS, "ambiguous")
    assert all("`errors`" in str(each.message) for each in shop.by_key(sync, report).values())
    assert report.too_many_failed
    assert len(picky.log.lines()) == 1


@heavy
def test_what_only_looks_like_errors_can_be_named(shop: Shop, picky: Sandbox) -> None:
    sync = batches(results={"ignored": ["errors"]})
    assert shop.run(sync, sink(picky.url)).counts["created"] == 40


def test_201_for_a_batch_does_not_say_created(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 40)
    sync = batches(mode="incremental")
    report = shop.run(sync, sink(sandbox.url))
    assert report.counts["updated"] == 40
    assert all(each.inferred for each in shop.by_key(sync, report).values())


# Refused as a batch


def some_taken(shop: Shop, sandbox: Sandbox, **options: Any) -> tuple[Sync, Any]:
    """The good rows of the batch are stored, and the answer is 400 without names."""
    sync = batches("&status=400&list=x", **options)
    return sync, shop.run(sync, sink(sandbox.url))


def test_a_batch_of_events_that_is_refused_is_in_doubt(shop: Shop, picky: Sandbox) -> None:
    sync, report = some_taken(shop, picky)
    assert failed(shop, sync, report) == dict.fromkeys(KEYS, "ambiguous")
    assert "some of its rows may have been taken" in str(shop.by_key(sync, report)["c0"].message)
    assert shop.run(sync, sink(picky.url)).counts["held"] == 40
    assert len(picky.log.lines()) == 1
    assert sent_twice(picky) == 0


@heavy
def test_a_batch_of_upserts_that_is_refused_is_halved(shop: Shop, picky: Sandbox) -> None:
    sync, report = some_taken(shop, picky, mode="incremental")
    assert failed(shop, sync, report) == dict.fromkeys(BAD, "rejected")
    assert held(picky) == set(KEYS) - BAD


@heavy
def test_an_api_that_takes_all_or_nothing_is_asked_by_halves(shop: Shop, picky: Sandbox) -> None:
    sync = batches("&whole=1", refuses_whole=True)
    report = shop.run(sync, sink(picky.url))
    assert failed(shop, sync, report) == dict.fromkeys(BAD, "rejected")
    assert held(picky) == set(KEYS) - BAD
    assert sent_twice(picky) == 0


@heavy
def test_a_single_event_that_is_refused_is_refused(shop: Shop, picky: Sandbox) -> None:
    options = {"path": "/{{ object }}"}
    sync = sink_sync(sync_mode="append", options=options)
    report = shop.run(sync, sink(picky.url))
    assert failed(shop, sync, report) == dict.fromkeys(BAD, "rejected")
    assert held(picky) == set(KEYS) - BAD


@heavy
def test_a_batch_of_events_that_is_too_large_is_split(shop: Shop, sandbox: Sandbox) -> None:
    """413 is about the request, before anybody looks at its rows."""
    sandbox.settings.change({"rest_max_rows": 7})
    people(shop, 40)
    assert shop.run(batches(), sink(sandbox.url)).counts["created"] == 40
    assert sent_twice(sandbox) == 0
