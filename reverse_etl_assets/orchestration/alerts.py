"""What somebody should know of a run, in a Slack channel: one message a run, and never a value of a row.

Dagster's run status sensors see each run once, when it has ended, and keep their place over restarts.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import dagster as dg
import httpx

from reverse_etl_assets.accounts.answer_bounds import Bounds
from reverse_etl_assets.accounts.transport import bounded
from reverse_etl_assets.deployment.alerts import Alerts
from reverse_etl_assets.deployment.deployment import ConfiguredDestination
from reverse_etl_assets.destinations.slack import Slack
from reverse_etl_assets.destinations.slack.messages import SlackOptions
from reverse_etl_assets.errors import ConfigurationError, RetryLater
from reverse_etl_assets.orchestration.checks import is_repeated
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.loaded import Loaded
from reverse_etl_assets.records import Batch, FieldType, Operation, Record, Target

_WAITS = (1.0, 5.0)  # seconds between attempts, where Slack names none; it did not take the message before
_LONGEST_WAIT = 20.0
_LOOK_BACK = 20  # evaluations of a check
_LINES, _LONG, _MESSAGE = 20, 400, 3_500
_MAY_QUOTE = ("verified_delivery", "drift")
"""Checks whose descriptions may end with what a destination said, which may hold values: of them, numbers alone."""
_ROWS_KEPT_BACK = ("quarantined", "ambiguous", "held")


def build_alerts(loaded: Loaded, alerts: Alerts) -> list[dg.SensorDefinition]:
    """Raises ConfigurationError if alerts are on and there is no Slack account to send them with."""
    if not alerts.channel:
        return []
    destinations = loaded.destinations
    resource = destinations.get(alerts.destination)
    if resource is None or not issubclass(resource.destination_type, Slack):
        slacks = [name for name, each in destinations.items() if issubclass(each.destination_type, Slack)]
        known = ", ".join(slacks) or "none"
        raise ConfigurationError(f"alerts: `{alerts.destination}` is no Slack destination; there are: {known}.")
    ends = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)
    return [_sensor(status, loaded, resource, alerts) for status in ends]


def _sensor(
    status: dg.DagsterRunStatus, loaded: Loaded, resource: ConfiguredDestination, alerts: Alerts
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=loaded.named(f"alerts_{status.value.lower()}"),
        description=f"Tells {alerts.channel} in Slack of runs that need somebody.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.RunStatusSensorContext) -> None:
        run_id = context.dagster_run.run_id
        lines = list(_news(context.instance, run_id, loaded.keys, failed=status is dg.DagsterRunStatus.FAILURE))
        if lines:
            more = [f"and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
            text = clip("\n".join([*lines[:_LINES], *more]), _MESSAGE)
            asyncio.run(_post(resource.account(alerts.destination).connection, alerts, run_id, text))

    return sensor


def _news(instance: dg.DagsterInstance, run_id: str, syncs: frozenset[dg.AssetKey], *, failed: bool) -> Iterator[str]:
    """A line for each sync that failed, with why, and for each check of the others that turned red."""
    checks = _of_type(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    bad = [each.event_specific_data for each in checks if each.event_specific_data.asset_key in syncs]
    bad = [check for check in bad if _is_bad(check) and not is_repeated(check.description)]
    steps = {str(each.step_key): each for each in _of_type(instance, run_id, dg.DagsterEventType.STEP_FAILURE)}
    planned = _of_type(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    number = len({each.asset_key for each in planned} & syncs)
    for key in sorted(syncs):
        step = steps.get(key.to_python_identifier())
        found = [check for check in bad if check.asset_key == key]
        if step:
            yield f":red_circle: *{key.to_user_string()}* failed"
            yield from map(_line, found)
            yield from _waiting_plan(step)
        else:
            news = (check for check in found if _is_news(instance, run_id, check))
            yield from (f"*{key.to_user_string()}* {_line(check)}" for check in news)
    if failed and number:
        others = sorted(steps.keys() - {key.to_python_identifier() for key in syncs})
        yield from (f":red_circle: `{step}` failed, and what waits for it did not run" for step in others)
        if not steps:
            yield f":red_circle: a run of {number} sync{'s' * (number != 1)} ended before its time"


def _of_type(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[Any]:
    return [each.event_log_entry.dagster_event for each in instance.get_records_for_run(run_id, of_type=kind).records]


def _is_bad(check: Any) -> bool:
    """Red, or rows in quarantine. What was not judged is neither."""
    red = check.severity is dg.AssetCheckSeverity.ERROR or check.check_name == "held_and_quarantined"
    return red and not check.passed and not (check.description or "").startswith("not judged")


def _is_news(instance: dg.DagsterInstance, run_id: str, check: Any) -> bool:
    """A check that stays red was told before, unless more rows are kept back than then."""
    key = dg.AssetCheckKey(check.asset_key, check.check_name)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=_LOOK_BACK)
    own = next((place for place, each in enumerate(records) if each.run_id == run_id), len(records))
    earlier = (each.evaluation for each in records[own + 1 :] if each.run_id != run_id)
    last = next((each for each in earlier if isinstance(each, dg.AssetCheckEvaluation)), None)
    return last is None or not _is_bad(last) or _kept_back(check) > _kept_back(last)


def _kept_back(check: Any) -> float:
    return sum(float(check.metadata[name].value) for name in _ROWS_KEPT_BACK if name in check.metadata)


def _line(check: Any) -> str:
    """Descriptions of checks are our own numbers and names, which is why they may leave."""
    colour = "red" if check.severity is dg.AssetCheckSeverity.ERROR else "large_yellow"
    message = clip(check.description, _LONG)
    if check.check_name in _MAY_QUOTE:
        figures = {name: value.value for name, value in check.metadata.items()}
        message = ", ".join(
            f"{figure:,} {name}" for name, figure in figures.items() if figure and isinstance(figure, int)
        )
    return f":{colour}_circle: `{check.check_name}`: {message}"


def _waiting_plan(step: Any) -> Iterator[str]:
    failure = step.step_failure_data.user_failure_data
    plan = failure.metadata.get("plan id") if failure else None
    if plan is not None:
        yield f'Look at the plan, then `reverse-etl approve {plan.value} --why "..." --run`'


async def _post(connection: Any, alerts: Alerts, run_id: str, text: str) -> None:
    """Raises a ReverseEtlError, which Dagster shows with the sensor's tick. What may be there is not posted again."""
    link = f"<{alerts.ui_url.rstrip('/')}/runs/{run_id}|run {run_id[:8]}>" if alerts.ui_url else f"run {run_id[:8]}"
    target = Target(alerts.channel, "run", {"text": FieldType.TEXT}, frozenset({Operation.INSERT}))
    sending = Batch(Operation.INSERT, [Record(run_id, run_id, {"text": text})], run_id)
    async with httpx.AsyncClient(trust_env=False, timeout=15, transport=bounded(Bounds(longest=60.0), 2)) as client:
        slack = Slack(connection, target, SlackOptions(text=f"{{{{ fields.text }}}}\n{link}"), client)
        for wait in _WAITS:
            try:
                await slack.send(sending)
                return
            except RetryLater as error:
                await asyncio.sleep(min(wait if error.after is None else error.after, _LONGEST_WAIT))
        await slack.send(sending)
