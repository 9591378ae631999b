"""Alerts in Slack: what is told of a run, once, and what is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.deployment.alerts import Alerts
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.orchestration.alerts import build_alerts
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.orchestration.vendor_resources import SlackResource
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.shop import Shop
from tests.orchestration.small_project import SmallProject

ALERTS = Alerts(channel="data-alerts", ui_url="https://dagster.example/")
PEOPLE = "select 'u' || i || '@example.com' as email, {} as name from range({}) r(i)"


class Watch:
    """The sensors of a project's alerts, each with its cursor, and what they posted."""

    def __init__(self, small: SmallProject, sandbox: Sandbox, asset: dg.AssetsDefinition) -> None:
        self.small, self.sandbox, self.asset = small, sandbox, asset
        slack = SlackResource(base_url=f"{sandbox.url}/slack/api", token=dg.EnvVar("TEST_SLACK_TOKEN"))
        self.destinations: dict[str, DestinationResource] = {**small.destinations, "slack": slack}
        self.sensors = build_alerts(small.loaded(slack=slack), ALERTS)
        self.cursors: dict[str, str | None] = {}
        self.tick()  # the first one takes its place in Dagster's history

    def tick(self) -> list[str]:
        """What is posted when each sensor has looked once. Raises the error of a sensor that failed."""
        before = len(self.posts)
        for sensor in self.sensors:
            context = dg.build_sensor_context(self.small.instance, cursor=self.cursors.get(sensor.name))
            found = sensor.evaluate_tick(context)
            self.cursors[sensor.name] = found.cursor
            for reaction in found.dagster_run_reactions or ():
                if reaction.error:
                    raise AssertionError(reaction.error.message)
        return self.posts[before:]

    @property
    def posts(self) -> list[str]:
        return [each.values["text"] for each in self.sandbox.slack.tables["data-alerts"].live()]

    def run(self, query: str = "", *more: dg.AssetsDefinition) -> str:
        if query:
            self.small.build(query)
        return self.small.run(*more, self.asset).run_id


Set = Callable[..., Watch]


@pytest.fixture
def watch(small: SmallProject, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Set:
    sandbox.settings.change({"slack_post_seconds": 0.0})
    monkeypatch.setenv("TEST_SLACK_TOKEN", "xoxb-alerts")

    def begin(**sync: Any) -> Watch:
        return Watch(small, sandbox, small.asset(**sync))

    return begin


def name_of(watch: Watch) -> str:
    return watch.asset.key.to_user_string()


def test_a_good_run_is_not_told(watch: Set) -> None:
    begun = watch()
    begun.run()
    assert begun.tick() == []


def test_a_guard_that_trips_is_told_once_with_the_way_to_approve(watch: Set) -> None:
    begun = watch()
    begun.run()
    run_id = begun.run(PEOPLE.format("'n' || i", 60))
    [text] = begun.tick()
    [plan] = begun.small.project.journal.waiting_plans()
    assert text.splitlines() == [
        f":red_circle: *{name_of(begun)}* failed",
        ":red_circle: `guards`: nothing was sent; max_removed: 40 removed: 40.00 % of 100 synced rows; the limit is"
        f" 25 %; plan {plan.plan_id} waits for a decision. To do: ask why these rows left the model; if they are gone"
        " for good, approve the plan.",
        f'Look at the plan, then `reverse-etl approve {plan.plan_id} --why "..." --run`',
        f"<https://dagster.example/runs/{run_id}|run {run_id[:8]}>",
    ]
    assert begun.tick() == []


@heavy
def test_a_failure_names_no_values(watch: Set) -> None:
    begun = watch(max_failed={"rows": 0})
    begun.run(PEOPLE.format("case when i < 3 then repeat('secret', 20000) else 'fine' end", 20))
    [text] = begun.tick()
    assert "`delivery`: 3 of 20 rows failed" in text
    assert "secret" not in text
    assert "@example.com" not in text


@heavy
def test_a_check_that_turns_red_is_told_once_and_in_numbers(watch: Set) -> None:
    begun = watch()
    begun.sandbox.fault("lose_writes", vendor="hubspot", percent=10)
    begun.run(PEOPLE.format("'n' || i", 20))
    [text] = begun.tick()
    assert text.startswith(f"*{name_of(begun)}* :red_circle: `verified_delivery`: 20 looked at, 3 missing\n")
    begun.run(PEOPLE.format("'m' || i", 20))
    assert begun.tick() == []


@heavy
def test_a_run_that_breaks_off_is_told(watch: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = watch()
    monkeypatch.setenv("TEST_CRM_TOKEN", "")
    run_id = begun.run()
    [text] = begun.tick()
    assert text == (f":red_circle: *{name_of(begun)}* failed\n<https://dagster.example/runs/{run_id}|run {run_id[:8]}>")


def test_what_failed_before_a_sync_is_told(watch: Set) -> None:
    @dg.asset(key=["marts", "people"])
    def model() -> None:
        raise dg.Failure("the source is gone")

    begun = watch()
    begun.run("", model)
    [text] = begun.tick()
    assert text.startswith(":red_circle: `marts__people` failed, and what waits for it did not run\n")


def test_a_run_of_something_else_is_not_told(watch: Set) -> None:
    @dg.asset
    def other() -> None:
        raise dg.Failure("not ours")

    begun = watch()
    begun.small.run(other)
    assert begun.tick() == []


@heavy
def test_rows_in_quarantine_are_told_when_they_grow_more(watch: Set) -> None:
    begun = watch(quarantine={"after": 1}, max_failed={})
    bad = PEOPLE.format("case when i < {} then repeat('x', 70000) else 'fine' end", 20)
    begun.run(bad.format(2))
    [text] = begun.tick()
    assert text.startswith(f"*{name_of(begun)}* :large_yellow_circle: `held_and_quarantined`: 2 rows in quarantine (")
    begun.run()
    assert begun.tick() == []
    begun.run(bad.format(3))
    assert "3 rows in quarantine" in begun.tick()[0]


@heavy
def test_slack_is_asked_again_only_if_it_did_not_take_the_message(watch: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = watch()
    monkeypatch.setenv("TEST_CRM_TOKEN", "")
    begun.sandbox.fault("rate_limit", vendor="slack", next=1, retry_after=0)
    begun.run()
    assert len(begun.tick()) == 1
    begun.sandbox.fault("drop_after", vendor="slack", next=1)
    begun.run()
    with pytest.raises(AssertionError, match="no answer that can be read: RemoteProtocolError"):
        begun.tick()
    assert len(begun.posts) == 2
    assert begun.tick() == []
    limit = begun.sandbox.fault("rate_limit", vendor="slack", path="chat.postMessage", next=10, retry_after=0)
    begun.run()
    with pytest.raises(AssertionError, match="ratelimited"):
        begun.tick()
    assert limit.hits == 3


@heavy
def test_a_code_location_has_the_sensors(shop: Shop) -> None:
    slack = SlackResource(token=dg.EnvVar("TEST_SLACK_TOKEN"))
    shop.write_sync("contacts")
    definitions = shop.definitions(ALERTS, slack=slack)
    sensors = {sensor.name: sensor for sensor in definitions.sensors or ()}
    for name in ("shop_alerts_failure", "shop_alerts_success"):
        assert sensors[name].default_status is dg.DefaultSensorStatus.RUNNING


def test_alerts_are_off_without_a_channel_and_need_an_account(small: SmallProject) -> None:
    assert build_alerts(small.loaded(), replace(ALERTS, channel="")) == []
    with pytest.raises(ConfigurationError, match="`slack` is no Slack destination; there are: none"):
        build_alerts(small.loaded(), ALERTS)
