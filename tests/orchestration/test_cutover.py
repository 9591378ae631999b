"""A new version of a sync, as Dagster shows it."""

from tests.heavy import heavy
from tests.orchestration.small_project import SmallProject

HALF = "select 'u' || i || '@example.com' as email, 'n' || i as name from range(60) r(i)"


def test_a_run_says_how_its_version_began(small: SmallProject) -> None:
    small.run(small.asset(sync="cut_over"))
    small.build(HALF)
    spec = {"sync": "cut_over", "version": 2, "cutover": "resend", "guards": {"max_removed": {}, "row_count": {}}}
    stopped = small.run(small.asset(**spec, approval="always"))
    begins = "version 2 begins with `cutover: resend`; rows of version 1 that it does not follow: 40"
    assert stopped.failure.metadata["cutover"].value == begins
    ran = small.run(small.asset(**spec))
    assert (ran.metadata["cutover"], ran.metadata["changed"]) == (begins, 60)
    assert "cutover" not in small.run(small.asset(**spec)).metadata


@heavy
def test_a_change_that_needs_a_version_fails_the_run(small: SmallProject) -> None:
    small.run(small.asset(sync="changed"))
    ran = small.run(small.asset(sync="changed", sync_mode="incremental"))
    assert not ran.success
    assert "- sync_mode: mirror before, incremental now" in str(ran.failure.description)
    assert "raise `version` to 2" in str(ran.failure.description)
