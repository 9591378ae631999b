"""What a check says of an audience, runs of the engine, and what a sync may not be; against the sandbox."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.destinations.meta_ads import MetaAds, MetaAdsOptions
from reverse_etl_assets.errors import CheckFailed, DestinationError, SpecError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import FieldType, Target
from reverse_etl_assets.spec.loading import load_sync
from reverse_etl_assets.spec.yaml_source import YamlSource
from reverse_etl_assets.testing.builders import target
from reverse_etl_sandbox import meta_ads as meta_api
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts
from tests.engine.audiences import audience_sync, meta
from tests.engine.shop import Shop
from tests.heavy import heavy

SYNC = audience_sync()
TARGET = target(meta_api.CUSTOMERS, "EMAIL", FN=FieldType.TEXT, COUNTRY=FieldType.TEXT)


def checked(sandbox: Sandbox, to: Target = TARGET, options: Mapping[str, Any] | None = None, **settings: Any) -> str:
    """What a check says is wrong."""

    async def work() -> str:
        async with httpx.AsyncClient(timeout=5) as client:
            connection = accounts.meta_ads(sandbox.url, **settings)
            destination = MetaAds(connection, to, MetaAdsOptions.model_validate(options or {}), client)
            try:
                await destination.check()
            except (CheckFailed, DestinationError) as error:
                return f"{type(error).__name__}: {error}"
        return ""

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (TARGET, ""),
        (target(meta_api.BY_VALUE, "EMAIL", LOOKALIKE_VALUE=FieldType.DECIMAL), ""),
        (target(meta_api.CUSTOMERS, "PHONE", key_type=FieldType.INTEGER), ""),
        (replace(TARGET, object="newsletter"), "`object: newsletter` is no id of an audience"),
        (replace(TARGET, object="999"), "AuthenticationFailed: Unsupported get request"),
        (
            replace(TARGET, object=meta_api.LOOKALIKE),
            "`Like our customers` (120200000000000003) is of subtype LOOKALIKE",
        ),
        (replace(TARGET, object=meta_api.FLAGGED), "Meta has flagged audience `High income` (120200000000000004)"),
        (replace(TARGET, object=meta_api.BY_VALUE), "is based on values: map `LOOKALIKE_VALUE`"),
        (
            target(meta_api.CUSTOMERS, "EMAIL", LOOKALIKE_VALUE=FieldType.DECIMAL),
            "is not based on values: take `LOOKALIKE_VALUE` out",
        ),
        (target(meta_api.CUSTOMERS, "EMAIL", EMIAL=FieldType.TEXT), "no `EMIAL`; the nearest is `EMAIL`"),
        (target(meta_api.CUSTOMERS, "customer_id", FN=FieldType.TEXT), "`external_id: customer_id` names nobody"),
        (target(meta_api.CUSTOMERS, "customer_id", ZIP=FieldType.TEXT), "The mapping names nobody: map one of EMAIL"),
        (
            target(meta_api.CUSTOMERS, "EMAIL", FN=FieldType.BOOLEAN),
            "`FN` takes text, and the model sends boolean: cast the column",
        ),
        (target(meta_api.CUSTOMERS, "EMAIL", key_type=FieldType.INTEGER), "`EMAIL` takes text"),
    ],
)
def test_a_check(sandbox: Sandbox, to: Target, said: str) -> None:
    found = checked(sandbox, to)
    assert said in found if said else found == ""


def test_a_check_names_all_that_is_wrong_at_once(sandbox: Sandbox) -> None:
    found = checked(sandbox, target("x", "id", FNX=FieldType.TEXT, GEN=FieldType.FLOAT))
    for part in ("`object: x`", "`external_id: id`", "`FNX`", "`GEN` takes text", "names nobody: map"):
        assert part in found


@pytest.mark.parametrize(("code", "said"), [(470, "not active any more"), (500, "has an error"), (415, ""), (100, "")])
def test_what_the_status_of_an_audience_means(sandbox: Sandbox, code: int, said: str) -> None:
    sandbox.meta_ads.audiences[meta_api.CUSTOMERS].status = (code, "Something.")
    found = checked(sandbox)
    assert said in found if said else found == ""


def test_an_audience_that_was_deleted(sandbox: Sandbox) -> None:
    """By a check, and by a run that needs none."""
    del sandbox.meta_ads.audiences[meta_api.CUSTOMERS]
    assert "or the token's user may not see it: check `object`" in checked(sandbox)


def test_a_token_that_was_revoked(sandbox: Sandbox) -> None:
    found = checked(sandbox, token="EAArevoked")
    assert found.startswith("AuthenticationFailed: ")
    assert "Make a new one for the system user" in found
    assert "EAArevoked" not in found


def test_calls_are_signed_if_the_app_asks_for_it(sandbox: Sandbox) -> None:
    sandbox.settings.change({"meta_ads_app_secret": "shh"})
    assert "require an appsecret_proof" in checked(sandbox)
    assert checked(sandbox, app_secret=SecretStr("shh")) == ""
    shown = str([line.path for line in sandbox.log.lines()])
    assert "EAAsandbox" not in shown


def test_a_check_waits_while_the_audience_is_being_replaced(sandbox: Sandbox) -> None:
    session = {"session_id": 7, "batch_seq": 1, "last_batch_flag": False}
    people = {"schema": ["EMAIL"], "is_raw": True, "data": [["0" * 64]]}
    path = f"{sandbox.url}/meta/v26.0/{meta_api.CUSTOMERS}/usersreplace"
    signed = {"Authorization": f"Bearer {meta_api.TOKEN}"}
    httpx.post(path, json={"session": session, "payload": people}, headers=signed).raise_for_status()
    assert checked(sandbox) == ""  # people can be added by then, or Meta says so
    assert checked(sandbox, options={"replace": True}).startswith("RetryLater: Meta is still replacing the audience")


# Runs

PEOPLE = (
    "select case when i = 3 then 'nobody' else 'P' || i || '@x.org' end as email,"
    " 'Ann' || i as name, case when i = 4 then 'Schweiz' else 'CH' end as country from range({}, {}) r(i)"
)


def members(sandbox: Sandbox) -> dict[str, Any]:
    return {each.values["EMAIL"]: each.values for each in sandbox.meta_ads.tables[meta_api.CUSTOMERS].live()}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_mirror_adds_changes_and_removes(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(0, 10))
    report = shop.run(SYNC, meta(sandbox.url))
    assert (report.status, report.counts["updated"], report.counts["failed_invalid"]) == (RunStatus.DONE, 8, 2)
    found = shop.by_key(SYNC, report)
    assert found["nobody"].field == "EMAIL"
    assert found["p4@x.org"].field == "COUNTRY"
    assert "Schweiz" not in (found["p4@x.org"].message or "")
    assert set(members(sandbox)) == {sha256(f"p{i}@x.org") for i in range(10) if i not in (3, 4)}
    shop.build(PEOPLE.format(5, 12))
    shop.sql("update marts.people set name = 'Zoë' where email = 'P9@x.org'")
    report = shop.run(SYNC, meta(sandbox.url))
    assert {name: report.counts[name] for name in ("created", "updated", "deleted")} == {
        "created": 0,
        "updated": 3,
        "deleted": 3,
    }
    assert all(outcome.inferred for outcome in shop.outcomes(SYNC, report.run_id))
    assert set(members(sandbox)) == {sha256(f"p{i}@x.org") for i in range(5, 12)}
    assert members(sandbox)[sha256("p9@x.org")]["FN"] == sha256("zoë")
    assert shop.run(SYNC, meta(sandbox.url)).change_set == 0


@heavy
def test_entries_that_are_all_refused(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(5, 10))
    sandbox.fault("refuse_rows", vendor="meta_ads", percent=100)
    report = shop.run(SYNC, meta(sandbox.url))
    assert report.counts["failed_rejected"] == 5
    assert {each.code for each in shop.outcomes(SYNC, report.run_id)} == {"INVALID_ENTRY"}


@heavy
@pytest.mark.parametrize("kind", ["drop_after", "malformed", "rate_limit"])
def test_a_lost_answer_is_asked_for_again(shop: Shop, sandbox: Sandbox, kind: str) -> None:
    shop.build(PEOPLE.format(5, 10))
    sandbox.fault(kind, vendor="meta_ads", path="/users", next=1)
    assert shop.run(SYNC, meta(sandbox.url)).counts["updated"] == 5
    assert len(members(sandbox)) == 5


@heavy
def test_a_run_stops_when_the_audience_is_gone(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(5, 10))
    shop.run(SYNC, meta(sandbox.url))
    shop.build(PEOPLE.format(5, 12))
    del sandbox.meta_ads.audiences[meta_api.CUSTOMERS]
    report = shop.run(SYNC, meta(sandbox.url))
    assert (report.status, report.counts["skipped_stopped"]) == (RunStatus.FAILED, 2)
    assert "check `object`" in (report.detail or "")


# What a sync may not be


def load(folder: Path, **changes: str) -> str:
    """What is wrong with a file."""
    spec = {"model": "people", "destination": "meta", "object": f'"{meta_api.CUSTOMERS}"', "primary_key": "email"}
    spec |= {"mapping": "{EMAIL: email}", **changes}
    file = folder / "people.yml"
    file.write_text("".join(f"{name}: {value}\n" for name, value in spec.items()))
    model = Model("people", "model.shop.people", "marts", "people", {}, {})
    try:
        load_sync(YamlSource(file), {"people": model}, {"meta": MetaAds})
    except SpecError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("mode", ["incremental", "mirror"])
def test_only_a_sync_of_all_rows_replaces_everybody(tmp_path: Path, mode: str) -> None:
    found = load(tmp_path, sync_mode=mode, options="{replace: true}")
    assert "what a run sends takes the place of all that `meta` holds; use `full_refresh`" in found
    assert load(tmp_path, sync_mode="full_refresh", options="{replace: true}") == ""
    assert load(tmp_path, sync_mode=mode) == ""


@pytest.mark.parametrize("mode", ["insert_only", "update_only", "append"])
def test_an_audience_only_takes_and_gives(tmp_path: Path, mode: str) -> None:
    assert "it can do full_refresh, incremental, mirror" in load(tmp_path, sync_mode=mode)


def test_a_region_without_numbers_is_refused() -> None:
    with pytest.raises(ValidationError, match="Britain is `GB`"):
        MetaAdsOptions(region="UK")


def test_jobs_are_for_replacing_alone() -> None:
    complete = replace(TARGET, complete=True)
    connection = accounts.meta_ads("https://graph.example")
    for to, options, expected in ((complete, {"replace": True}, True), (complete, {}, False)):
        assert (accounts.offline(MetaAds, connection, to, **options).capabilities.jobs is not None) is expected
    assert accounts.offline(MetaAds, connection, TARGET, replace=True).capabilities.jobs is None  # an undo, say


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("v10.0", "TargetChanged: (#2635) You are calling a deprecated version of the Ads API."),
        ("v24.0", "set `api_version` to a later one."),
        ("v99.0", "Is `api_version` one that there is, and `base_url` right?"),
        ("v26.7", "Is `api_version` one that there is, and `base_url` right?"),
        ("v25.0", ""),
        ("v27.0", ""),
    ],
)
def test_a_version_that_meta_does_not_have(sandbox: Sandbox, version: str, said: str) -> None:
    found = checked(sandbox, api_version=version)
    assert said in found if said else not found
