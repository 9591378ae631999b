"""The suites that authors inherit: what they say when they fail, and what they ask of a pace."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations import Batch, Capabilities, Outcome, SyncOptions, Target
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import test_google_ads_contract as google
from tests.destinations.test_leads import API, TESTS
from tests.heavy import first, heavy

ROOT = Path(__file__).parents[2]
FAILING = """
from tests.destinations.test_leads import TESTS

class TestMine(TESTS.TestLeads):
    def stored(self, server):
        return [("nobody", {})]
"""


@heavy
def test_a_suite_that_fails_shows_the_values_it_compared(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FAILING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "every_record", "test_mine.py"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "assert 1 == 5" in done.stdout


class Hurries(API.Leads):  # type: ignore[name-defined, misc]
    """Leaves no request of a second free."""

    @classmethod
    def capabilities_for(cls, target: Target, options: SyncOptions) -> Capabilities:
        return replace(super().capabilities_for(target, options), requests_per_second=11)


class Dawdles(API.Leads):  # type: ignore[name-defined, misc]
    """Leaves two free."""

    @classmethod
    def capabilities_for(cls, target: Target, options: SyncOptions) -> Capabilities:
        return replace(super().capabilities_for(target, options), requests_per_second=8)


@pytest.mark.parametrize("wrong", first([Hurries, Dawdles]))
def test_a_pace_of_a_small_window_leaves_one_request_free_and_no_more(wrong: Any, tmp_path: Path) -> None:
    suite = type("Suite", (TESTS.TestLeads,), {"destination": wrong})()
    with pytest.raises(AssertionError):
        suite.test_the_allowed_rate_is_used_and_never_exceeded(tmp_path)


class OpensJobsAlone(GoogleAds):
    """The answer to an opened job says nothing of a row."""

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        yield from ()


@heavy
def test_rows_of_a_vendor_that_takes_nothing_but_jobs_are_handed_over_as_jobs(sandbox: Sandbox) -> None:
    suite = type("Suite", (google.TestGoogleAds,), {"destination": OpensJobsAlone})()
    suite.test_every_record_gets_one_outcome(sandbox)
    sandbox.reset()
    suite.test_a_full_batch_is_taken(sandbox)
    sandbox.reset()
    suite.test_a_bad_row_fails_alone(sandbox)
