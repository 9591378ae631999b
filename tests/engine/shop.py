"""A small shop: a warehouse with models, syncs of them, and accounts in the sandbox."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.delivery.retries import RetryPolicy
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.hubspot.options import HubSpotConnection
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.run import run_sync
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.outcomes import RowOutcome
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse
from tests.warehouse import writing

FAST = 100_000.0  # requests per second: no pacing that a test could notice
EAGER = RetryPolicy(backoff_base=0.001, backoff_cap=0.01, last_answers=5.0, job_poll=0.01)

BY_KEY = {"match": "key", "path": "results", "key": "id", "status": "status", "error": "error.message"}
SINK: dict[str, Any] = {
    "path": "/{{ object }}",
    "record": "{{ fields }}",
    "batch_size": 100,
    "results": {**BY_KEY, "code": "error.code", "statuses": {"not_found": "skipped"}},
    "operations": {"delete": {"path": "/{{ object }}/delete"}},
}
"""Options for the sandbox's REST sink: 100 rows a request, an answer for each."""


def sink_sync(**changes: Any) -> Sync:
    """A sync of the model `people` to the REST sink."""
    spec: dict[str, Any] = {
        "sync": "people_to_sink",
        "model": "people",
        "destination": "sink",
        "object": "people",
        "primary_key": "id",
        "mapping": {"id": "id", "name": "name"},
        "sync_mode": "incremental",
        "options": SINK,
    }
    return Sync.model_validate({**spec, **changes})


def crm_sync(**changes: Any) -> Sync:
    """A sync of the model `people` to HubSpot contacts."""
    crm = {
        "sync": "people_to_crm",
        "destination": "crm",
        "object": "contacts",
        "primary_key": "email",
        "mapping": {"email": "email", "firstname": "name"},
        "options": {},
    }
    return sink_sync(**{**crm, **changes})


def sink(url: str, **changes: Any) -> Account:
    """The sandbox's REST sink."""
    return Account("sink", Webhook, WebhookConnection(base_url=f"{url}/rest", allow_private=True, **changes))


def crm(url: str, **changes: Any) -> Account:
    """HubSpot in the sandbox, with a rate that does not slow tests down."""
    settings: dict[str, Any] = {"requests_per_second": FAST, **changes}
    connection = HubSpotConnection(
        base_url=f"{url}/hubspot", access_token=SecretStr(settings.pop("token", "pat-sandbox")), **settings
    )
    return Account("crm", HubSpot, connection)


class Shop:
    """A project of its own in a folder."""

    def __init__(
        self,
        home: Path,
        *,
        journal_url: str | None = None,
        lock_wait: float = 10.0,
        retry_policy: RetryPolicy = EAGER,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.home = home
        self.file = home / "warehouse.duckdb"
        self.warehouse = DuckDBWarehouse(self.file, home / "state", threads=1, lock_wait=lock_wait)
        self.journal_url = journal_url or f"sqlite:///{home}/journal.sqlite"
        self.journal = Journal.open(self.journal_url, stop_folder=home)
        self.models: dict[str, Model] = {}
        self._retry_policy = retry_policy
        self._clock = clock

    def close(self) -> None:
        self.journal.close()

    @property
    def environment(self) -> Environment:
        clock: dict[str, Any] = {"clock": self._clock} if self._clock else {}
        return Environment(self.journal, self.warehouse, self.models, self._retry_policy, **clock)

    def build(self, query: str, model: str = "people") -> None:
        """Build the model's table from a query, as dbt would."""
        self.know(model)
        self.sql("create schema if not exists marts", f"create or replace table marts.{model} as {query}")

    def know(self, model: str = "people") -> None:
        """The model is in dbt's manifest, built or not."""
        self.models[model] = Model(model, f"model.shop.{model}", "marts", model, {}, {})

    def sql(self, *statements: str) -> None:
        """Change the warehouse."""
        with writing(self.file) as con:
            for statement in statements:
                con.execute(statement)

    def run(self, sync: Sync, account: Account, **options: Any) -> Report:
        return run_sync(sync, self.environment, account, **options)

    def state(self, sync: Sync, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query of the sync's state."""
        with self.warehouse.open(sync.sync) as con:
            return con.execute(query).fetchall()

    def outcomes(self, sync: Sync, run_id: str) -> list[RowOutcome]:
        columns = ", ".join(RowOutcome.__dataclass_fields__)
        found = self.state(sync, f"select {columns} from state.outcomes where run_id = '{run_id}' order by key")
        return [RowOutcome(*row) for row in found]

    def by_key(self, sync: Sync, report: Report) -> Mapping[str | None, RowOutcome]:
        """A run's outcomes by key; fails if a key has two."""
        outcomes = self.outcomes(sync, report.run_id)
        found = {outcome.key: outcome for outcome in outcomes}
        assert len(found) == len(outcomes)
        return found
