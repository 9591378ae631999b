"""Replacing all members of an audience, against the sandbox."""

from dataclasses import replace

from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.errors import RetryLater
from reverse_etl_assets.records import Batch, Outcome, Reason, Status
from reverse_etl_sandbox.server import Sandbox
from tests.destinations.audiences import AUDIENCE, GRANTED, UPSERT, finished, members, people, with_ads
from tests.limited import spans_run

REPLACE = {**GRANTED, "replace": True}
WHOLE = replace(AUDIENCE, operations=frozenset({UPSERT}), complete=True)


async def replaced(ads: GoogleAds, *parts: Batch) -> list[Outcome]:
    assert spans_run(ads)
    job = await ads.open_job(parts[0])
    for number, part in enumerate(parts, 1):
        for _ in range(3):
            try:
                await ads.upload(job, part, Part(number, number == len(parts)))
                break
            except RetryLater:
                assert await ads.poll(job) is JobState.OPEN
    while await ads.poll(job) is not JobState.DONE:
        pass
    return [outcome for part in parts for outcome in await ads.collect(job, part)]


def test_a_replacement_leaves_those_alone_whom_it_has_uploaded(sandbox: Sandbox) -> None:
    with_ads(lambda ads: finished(ads, people("old", "stays")), sandbox)
    for entry in sandbox.google_ads.tables["1001"].live():
        entry.updated_at -= 60
    found = with_ads(lambda ads: replaced(ads, people("stays", "b"), people("c")), sandbox, WHOLE, options=REPLACE)
    assert {each.status for each in found} == {Status.CREATED}
    assert len(found) == members(sandbox) == 3
    assert [line.path.rpartition(":")[2] for line in sandbox.log.lines()][-1] == "removeAll"


def test_a_refused_row_does_not_stop_a_replacement(sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="google_ads", percent=30)
    sent = people(*(f"p{number}" for number in range(20)))
    found = with_ads(lambda ads: replaced(ads, sent), sandbox, WHOLE, options=REPLACE)
    rejected = [each for each in found if each.reason is Reason.REJECTED]
    assert 0 < len(rejected) < 20 == len(found)
    assert members(sandbox) == 20 - len(rejected)


def test_nobody_is_removed_if_the_upload_failed(sandbox: Sandbox) -> None:
    with_ads(lambda ads: finished(ads, people("old")), sandbox)
    sandbox.google_ads.tables["1001"].live()[0].updated_at -= 60
    denied = {**REPLACE, "ad_user_data": "denied"}
    found = with_ads(lambda ads: replaced(ads, people("a")), sandbox, WHOLE, options=denied)
    assert [each.reason for each in found] == [Reason.REJECTED]
    assert members(sandbox) == 1


def test_a_replacement_does_not_wait_longer_than_it_may(sandbox: Sandbox) -> None:
    sandbox.settings.change({"google_ads_polls": 1_000_000})
    options = {**REPLACE, "wait": 0}
    found = with_ads(lambda ads: replaced(ads, people("a")), sandbox, WHOLE, options=options)
    assert [(each.status, each.inferred) for each in found] == [(Status.CREATED, True)]
    assert [line.path.rpartition(":")[2] for line in sandbox.log.lines()][-1] == "removeAll"


def test_only_runs_that_send_every_row_replace(sandbox: Sandbox) -> None:
    async def work(ads: GoogleAds) -> None:
        assert not spans_run(ads)
        assert ads.capabilities.replaces

    with_ads(work, sandbox, options=REPLACE)


def test_a_replacement_of_another_process_was_not_handed_over(sandbox: Sandbox) -> None:
    gone = with_ads(lambda ads: ads.poll("replacement 2026-01-01T00:00:00Z"), sandbox, WHOLE, options=REPLACE)
    assert gone is JobState.OPEN
