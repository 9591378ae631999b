"""A resource has the settings of its destination's connection, each declared there alone."""

import sys
import typing
from typing import Annotated, Any, Literal

import dagster as dg
import pytest
from pydantic import Field, SecretStr

from reverse_etl_assets.destinations import BaseDestination, ConnectionSettings, HttpDestination, SyncOptions
from reverse_etl_assets.orchestration import resource_source, vendor_resources
from reverse_etl_assets.orchestration.resources import DestinationResource
from tests import vendor_resources as maker

SHARED = {*ConnectionSettings.model_fields, *DestinationResource.model_fields}


def resource_of(each: type[BaseDestination[Any, Any]]) -> type[DestinationResource]:
    found: type[DestinationResource] = getattr(vendor_resources, f"{each.__name__}Resource")
    return found


def test_the_file_is_as_it_would_be_written_now() -> None:
    assert maker.FILE.read_text() == maker.written(), "run `make resources`"


def test_what_all_accounts_have_can_be_set_of_each() -> None:
    assert set(ConnectionSettings.model_fields) - {"budget"} <= set(DestinationResource.model_fields)


@pytest.mark.parametrize("each", maker.shipped())
def test_settings_are_those_of_the_connection(each: type[BaseDestination[Any, Any]]) -> None:
    resource, connection = resource_of(each).model_fields, each.Connection.model_fields
    assert resource.keys() - SHARED == connection.keys() - SHARED
    for name in {*resource.keys() - SHARED, "base_url"}:
        assert resource[name].is_required() == connection[name].is_required(), name
        assert resource[name].get_default(call_default_factory=True) == connection[name].get_default(
            call_default_factory=True
        ), name


@pytest.mark.parametrize("each", maker.shipped())
def test_every_setting_takes_a_variable_and_no_secret_is_shown(each: type[BaseDestination[Any, Any]]) -> None:
    resource = resource_of(each)
    texts = [name for name, field in resource.model_fields.items() if field.annotation in (str, str | None)]
    variables: dict[str, Any] = {name: dg.EnvVar(f"MY_{name.upper()}") for name in texts}
    made = resource(**variables)
    made.refuse_literal_secrets("mine")
    secrets = {name for name, field in each.Connection.model_fields.items() if "SecretStr" in str(field.annotation)}
    for name in texts:
        assert (f"{name}='***'" in repr(made)) == (name in secrets), name


def test_dagster_shows_defaults_and_what_they_mean() -> None:
    of: Any = vendor_resources.HubSpotResource.to_config_schema().as_field().config_type
    shown = of.fields
    assert shown["api_version"].default_value == "2026-09"
    assert "2026-09" in (shown["api_version"].description or "")
    assert shown["access_token"].is_required


class Odd(ConnectionSettings):
    keys: dict[str, SecretStr] = Field(default_factory=dict)
    mode: Literal["live", "test"] | None = None
    size: Annotated[int, Field(ge=1)] = 3
    said: str = 'a "word" and a \\'
    regions: list[str] = Field(default_factory=lambda: ["eu"])
    note: typing.Optional[str] = None  # noqa: UP045


class OddApi(HttpDestination[Odd, SyncOptions]):
    Connection = Odd


def test_types_are_those_of_what_is_written_in_a_deployment(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["resource_source", f"{__name__}:OddApi"])
    resource_source.main()
    source = capsys.readouterr().out
    assert source.startswith('"""OddApi in Dagster')
    made: dict[str, Any] = {"OddApi": OddApi, "DestinationResource": DestinationResource, "__name__": __name__}
    exec(source.partition("DestinationResource\n")[2], made)
    fields = made["OddApiResource"].model_fields
    assert {name: fields[name].annotation for name in Odd.model_fields if name not in SHARED} == {
        "keys": dict[str, str],
        "mode": str | None,
        "size": int,
        "said": str,
        "regions": list[str],
        "note": str | None,
    }
    assert fields["said"].default == Odd.model_fields["said"].default
    assert fields["regions"].default == ["eu"]
