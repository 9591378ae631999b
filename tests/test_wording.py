"""What is written in another form than it has to be is answered in words, never with a pattern."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.destinations.registry import destination_type, destination_types
from reverse_etl_assets.errors import ConfigurationError, SpecError
from reverse_etl_assets.orchestration import resources, vendor_resources
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.wording import Written

MODELS: list[type[BaseModel]] = [
    Sync,
    *(destination_type(name).Connection for name in destination_types()),
    *(destination_type(name).Options for name in destination_types()),
]
PEOPLE = Model("people", "model.x.people", "marts", "people", dict.fromkeys(("id", "phone")), {})


def written(annotation: Any) -> Iterator[Written]:
    if isinstance(annotation, Written):
        yield annotation
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            for each in (*field.metadata, field.annotation):
                yield from written(each)
    for inner in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from written(inner)


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if schema.get("type") == "str" and "pattern" in schema:
            yield schema["pattern"]
        for key, inner in schema.items():
            if key != "metadata":
                yield from patterns(inner)
    elif isinstance(schema, list | tuple):
        for inner in schema:
            yield from patterns(inner)


@pytest.mark.parametrize("model", MODELS, ids=lambda each: f"{each.__module__.split('.')[-2]}.{each.__name__}")
def test_no_setting_answers_with_a_pattern(model: type[BaseModel]) -> None:
    assert list(patterns(model.__pydantic_core_schema__)) == []


FORMS = list(dict.fromkeys(each for model in MODELS for each in written(model)))


def test_the_examples_are_right() -> None:
    assert len(FORMS) >= 8
    for form in FORMS:
        example = re.findall(r"such as `([^`]+)`", form.words)
        assert example, form
        assert re.fullmatch(form.pattern, example[0].replace("-", "") if form.pattern == r"\d{10}" else example[0])


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (
            vendor_resources.HubSpotResource(access_token="x", api_version="2026"),
            "destination crm: api_version: write a version by year and month, such as `2026-09`, or `v3`.",
        ),
        (
            vendor_resources.SalesforceResource(base_url="https://x.example", client_id="x", api_version="v67"),
            "destination crm: api_version: write the release's number and `.0`, such as `67.0`.",
        ),
        (
            vendor_resources.GoogleAdsResource(customer_id="123-456", service_account="{}"),
            "destination crm: customer_id: write the ten digits of an account, such as `123-456-7890`.",
        ),
        (
            vendor_resources.StripeResource(secret_key="sk_test_x", stripe_account="me", api_version="new"),
            "destination crm: stripe_account: write the id of an account, such as `acct_1AbC`.\n"
            "destination crm: api_version: write a version by date and name, such as `2026-05-27.dahlia`.",
        ),
        (
            vendor_resources.MetaAdsResource(access_token="x", api_version="26"),
            "destination crm: api_version: write a version of the Marketing API, such as `v26.0`.",
        ),
    ],
)
def test_a_setting_says_what_is_right(resource: resources.DestinationResource, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resource.account("crm")
    assert str(caught.value).startswith(said)


SYNC = """\
model: people
destination: ads
object: "1"
primary_key: id
mapping: {EXTERN_ID: id, PHONE: {column: phone, transform: sha256_phone, region: REGION}}
sync_mode: incremental
options: {region: OPTION}
"""


@pytest.mark.parametrize(
    ("region", "option", "said"),
    [
        ("de", "DE", "a.yml:5: mapping.PHONE.region: write the two capital letters of a country"),
        ("DE", "Germany", "a.yml:7: options.region: write the two capital letters of a country"),
    ],
)
def test_a_key_of_a_sync_says_what_is_right(tmp_path: Any, region: str, option: str, said: str) -> None:
    (tmp_path / "a.yml").write_text(SYNC.replace("REGION", region).replace("OPTION", option))
    with pytest.raises(SpecError) as caught:
        load_syncs(tmp_path, {"people": PEOPLE}, {"ads": destination_type("meta_ads")})
    assert said in str(caught.value)
    assert "such as `DE`" in str(caught.value)


def test_the_name_of_a_file_says_what_is_right(tmp_path: Any) -> None:
    (tmp_path / "my-sync.yml").write_text(SYNC.replace("REGION", "DE").replace("OPTION", "DE"))
    with pytest.raises(SpecError, match=r"my-sync\.yml:1: write the name of a sync as a letter and then letters,"):
        load_syncs(tmp_path, {"people": PEOPLE}, {"ads": destination_type("meta_ads")})
