"""What a row count is compared with: the same weekday's runs, or the recent ones."""

from datetime import UTC, datetime

from reverse_etl_assets.guards.history import DAY, LOOK_BACK, EarlierRun, usual

SUNDAY = datetime(2025, 6, 15, 9, tzinfo=UTC).timestamp()


def runs_of(days: dict[int, list[int]]) -> list[EarlierRun]:
    """Row counts of runs an hour apart, by how many days before SUNDAY."""
    return [
        EarlierRun(SUNDAY - ago * DAY + (number - len(counts)) * 3_600, rows)
        for ago, counts in days.items()
        for number, rows in enumerate(counts)
    ]


def test_four_earlier_days_of_the_weekday_are_compared_with() -> None:
    """Sundays have fewer rows than the days before them; of each day the last run counts."""
    days = {ago: [1, 100] if ago % 7 == 0 else [5, 1000] for ago in range(1, 50)}
    found = usual(runs_of({**days, 0: [3, 4]}), SUNDAY)
    assert (found.counts, found.runs, found.rows) == ((100,) * 4, "the last 4 Sundays", 100)
    assert found.enough_for_deviations
    assert usual(runs_of(days), SUNDAY + DAY).runs == "the last 4 Mondays"


def test_three_of_them_are_too_few() -> None:
    days = {ago: [100 if ago % 7 == 0 else 1000] for ago in range(1, 28)}
    found = usual(runs_of(days), SUNDAY)
    assert (found.runs, found.counts) == ("the last 10 runs", (1000,) * 6 + (100,) + (1000,) * 3)


def test_a_run_of_today_is_no_earlier_day() -> None:
    """Midnight UTC parts the days."""
    midnight = SUNDAY - 9 * 3_600
    weeks = [EarlierRun(midnight - week * 7 * DAY, 100) for week in (1, 2, 3)]
    assert usual([*weeks, EarlierRun(midnight, 100)], SUNDAY).runs == "the last 4 runs"
    assert usual([*weeks, EarlierRun(midnight - 28 * DAY, 100)], SUNDAY).runs == "the last 4 Sundays"


def test_the_journal_is_read_as_far_back_as_needed() -> None:
    """Four weekdays of which as many again were missed, seen from the last moment of a day."""
    assert LOOK_BACK > 9 * 7 * DAY


def test_enough_runs() -> None:
    def recent(number: int) -> tuple[bool, bool]:
        found = usual(runs_of({0: [100] * number}), SUNDAY)
        return found.enough, found.enough_for_deviations

    assert [recent(number) for number in (0, 2, 3, 6, 7)] == [
        (False, False),
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]


def test_runs_of_a_clock_that_was_ahead_are_left_out() -> None:
    ahead = [EarlierRun(SUNDAY + hours * 3_600, 9_999) for hours in (1, 24, 24 * 7)]
    found = usual([*ahead, *runs_of({0: [100, 101, 102]})], SUNDAY)
    assert (found.counts, found.later) == ((102, 101, 100), 3)


def test_spread() -> None:
    found = usual(runs_of({0: [90, 95, 100, 105, 5_000]}), SUNDAY)
    assert found.rows == 100
    assert found.sigma == 1.4826 * 5
    assert usual(runs_of({0: [1000] * 7}), SUNDAY).sigma == 20
