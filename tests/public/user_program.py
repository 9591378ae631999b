"""What a user of the library writes. `make lint` checks its types against the public names alone; nothing runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import dagster as dg
import httpx
from pydantic import SecretStr

import reverse_etl_assets as retl
from reverse_etl_assets import destinations, testing

HUBSPOT = retl.HubSpotResource(
    base_url="https://api.hubapi.com", access_token=dg.EnvVar("HUBSPOT_ACCESS_TOKEN"), requests_per_second=10.0
)
PROJECT = retl.Project(
    dbt=retl.DbtSettings(Path("dbt_project")),
    syncs_folder=Path("syncs"),
    destinations={"hubspot": HUBSPOT.destination_type},
)


class Translator(retl.DagsterReverseEtlTranslator):
    def get_asset_spec(self, data: retl.SyncTranslatorData) -> dg.AssetSpec:
        return super().get_asset_spec(data).replace_attributes(group_name=data.sync.destination)


DBT_MODELS = dg.AssetsDefinition(specs=[dg.AssetSpec("people")])
DEFINITIONS = retl.build_sync_definitions(
    dbt=DBT_MODELS,
    syncs="syncs",
    destinations={"hubspot": HUBSPOT},
    translator=Translator(),
    name="crm",
    home="/var/lib/reverse_etl",
    alerts=retl.Alerts(channel="#data", destination="slack", ui_url="http://localhost:3000"),
)
assert_type(DEFINITIONS, dg.Definitions)
assert_type(retl.__version__, str)


def run_all() -> None:
    for sync in retl.load_syncs(PROJECT.syncs_folder, PROJECT.models, PROJECT.destinations).values():
        account = HUBSPOT.account(sync.destination)
        seen = retl.preview(sync, PROJECT.environment, account, limit=10)
        assert_type(seen, retl.Preview)
        try:
            report = retl.run_sync(sync, PROJECT.environment, account)
        except retl.SyncBusy:
            continue
        except (retl.CheckFailed, retl.ConfigurationError, retl.StateError, retl.SpecError) as error:
            raise SystemExit(str(error)) from None
        assert_type(report, retl.Report)
        retl.verify(sync, PROJECT.environment, account, sample=100)
        retl.undo_run(report.run_id, sync, PROJECT.environment, account, who="Ada", why="a wrong segment")
        retl.run_sync(sync, PROJECT.environment, account, dry=True)  # type: ignore[call-arg]


class Connection(destinations.ConnectionSettings):
    token: SecretStr


class Tickets(destinations.HttpDestination[Connection, destinations.SyncOptions]):
    Connection = Connection

    @classmethod
    def capabilities_for(
        cls, target: destinations.Target, options: destinations.SyncOptions
    ) -> destinations.Capabilities:
        able = frozenset({destinations.Operation.UPSERT})
        return destinations.Capabilities(able, idempotent=able, max_rows=1, max_bytes=100_000)

    def auth(self) -> httpx.Auth:
        return destinations.BearerToken(self.connection.token)

    async def check(self) -> None:
        raise destinations.CheckFailed(["there is no object `tickets`"])

    def build_request(self, batch: destinations.Batch) -> httpx.Request:
        return self.client.build_request("POST", "/tickets", content=destinations.encode_json(batch.records[0].fields))

    def read_response(self, batch: destinations.Batch, response: httpx.Response) -> Iterator[destinations.Outcome]:
        yield destinations.Outcome(batch.records[0].key, destinations.Status.CREATED)


class TicketsResource(retl.DestinationResource):
    destination_type = Tickets
    token: str


class TestTickets(testing.DestinationContract):
    destination = Tickets
    target = testing.target("tickets", "id", subject=destinations.FieldType.TEXT)


_ = retl.Projekt  # type: ignore[attr-defined]
_ = destinations.HttpDestinations  # type: ignore[attr-defined]
_ = testing.Contract  # type: ignore[attr-defined]
_ = retl.HubSpotResource(acces_token=dg.EnvVar("HUBSPOT_ACCESS_TOKEN"))  # type: ignore[call-arg]
_ = retl.StripeResource(secret_key=dg.EnvVar("STRIPE_KEY"), mode=3)  # type: ignore[arg-type]
