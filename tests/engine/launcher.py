"""Runs syncs in processes of their own: `python -m tests.engine.launcher`, then one JSON order a line.

Each order is run in a child that is forked after the imports, so that a hundred of them cost little. The answer is
`pid <n>`, then what the child says (`sent <rows>`, `report <json>` or `error <json>`), then `end <exit status>`.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from reverse_etl_assets.destinations.base import Account, BaseDestination
from reverse_etl_assets.destinations.google_ads import GoogleAds
from reverse_etl_assets.destinations.intercom import Intercom
from reverse_etl_assets.destinations.meta_ads import MetaAds
from reverse_etl_assets.destinations.postgres import Postgres
from reverse_etl_assets.destinations.postgres.options import PostgresConnection
from reverse_etl_assets.destinations.salesforce import Salesforce, SalesforceConnection
from reverse_etl_assets.destinations.slack import Slack, SlackConnection
from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection
from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.plan.trial import Trial
from reverse_etl_assets.runs.forget import Forgetting, Subject
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from tests.destinations import accounts
from tests.engine.audiences import meta
from tests.engine.shop import EAGER, FAST, Shop, crm, sink
from tests.limited import limited

ROOT = Path(__file__).parents[2]


def salesforce(url: str) -> Account:
    connection = SalesforceConnection(
        base_url=f"{url}/salesforce", client_id="sandbox", client_secret=SecretStr("sandbox-secret")
    )
    return Account("salesforce", Salesforce, connection)


def postgres(url: str) -> Account:
    return Account("product_database", Postgres, PostgresConnection(base_url=url))


def zendesk(url: str) -> Account:
    connection = ZendeskConnection(
        base_url=f"{url}/zendesk",
        client_id="sandbox",
        client_secret=SecretStr("zendesk-secret"),
        requests_per_second=FAST,
    )
    return Account("zendesk", Zendesk, connection)


def slack(url: str) -> Account:
    connection = SlackConnection(base_url=f"{url}/slack/api", token=SecretStr("xoxb-1"), requests_per_second=FAST)
    return Account("slack", Slack, connection)


def small(kind: type[BaseDestination[Any, Any]], rows: int) -> type[BaseDestination[Any, Any]]:
    """The destination with requests and jobs of so few rows, so that there are many."""
    return limited(kind, max_rows=rows, jobs={"max_rows": rows})


def google_ads(url: str) -> Account:
    return Account("ads", small(GoogleAds, 5), accounts.google_ads(url, requests_per_second=FAST))


def meta_adds(url: str) -> Account:
    return Account("meta", small(MetaAds, 5), accounts.meta_ads(url, requests_per_second=FAST))


def stripe(url: str) -> Account:
    return Account("stripe", Stripe, accounts.stripe(url, requests_per_second=FAST))


def intercom(url: str) -> Account:
    connection = accounts.intercom(url).model_copy(update={"requests_per_second": FAST})
    return Account("intercom", Intercom, connection)


ACCOUNTS: dict[str, Callable[..., Account]] = {
    "sink": sink,
    "crm": crm,
    "salesforce": salesforce,
    "slack": slack,
    "zendesk": zendesk,
    "postgres": postgres,
    "meta": meta,
    "meta_adds": meta_adds,
    "ads": google_ads,
    "stripe": stripe,
    "intercom": intercom,
}


class Launcher:
    """The parent's side: one process at a time."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.launcher"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = 0
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            self.kill()
        self._process.communicate()

    def start(
        self,
        shop: Shop,
        sync: Sync,
        account: str,
        url: str,
        *,
        undoes: str | None = None,
        plan_id: str | None = None,
        forgets: str | None = None,
        first: int | None = None,
        **changes: Any,
    ) -> None:
        """Start a run, of an approved plan alone if one is named, a trial of its `first` rows, or the undo of one, or
        forget a person's key; return at once."""
        order = {
            "home": str(shop.home),
            "journal": shop.journal_url,
            "lock_wait": shop.warehouse.lock_wait,
            "sync": sync.model_dump_json(exclude_unset=True),
            "account": account,
            "url": url,
            "changes": changes,
            "undoes": undoes,
            "plan_id": plan_id,
            "forgets": forgets,
            "first": first,
        }
        if self.pid:  # left by a test that failed
            self.kill()
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        word, number = self._line()
        assert word == "pid"
        self.pid = int(number)

    def sent(self) -> Iterator[int]:
        """How many rows have their outcomes, each time it grows, until the run ends."""
        while (found := self._line())[0] == "sent":
            yield int(found[1])
        self._last = found

    def kill(self) -> None:
        """SIGKILL, if it still runs; returns when the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        self.result()

    def result(self) -> Mapping[str, Any] | None:
        """What the run reported, `{"error": ..., "message": ...}`, or None if it was killed."""
        said: Mapping[str, Any] | None = None
        word, rest = getattr(self, "_last", None) or self._line()
        self._last = None
        while word != "end":
            if word in ("report", "error"):
                said = json.loads(rest)
            word, rest = self._line()
        self.pid = 0
        return said

    _last: tuple[str, str] | None = None

    def _line(self) -> tuple[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the launcher is gone"
        word, _, rest = line.strip().partition(" ")
        return word, rest


def say(word: str, rest: object) -> None:
    os.write(1, f"{word} {rest}\n".encode())  # in one piece, or not at all


def run(order: Mapping[str, Any]) -> None:
    shop = Shop(Path(order["home"]), journal_url=order["journal"], lock_wait=order["lock_wait"], retry_policy=EAGER)
    shop.know()
    sync = Sync.model_validate_json(order["sync"])
    account = ACCOUNTS[order["account"]](order["url"], **order["changes"])
    options: dict[str, Any] = {"on_progress": lambda plan, statuses: say("sent", sum(statuses.values()))}
    try:
        if order["undoes"]:
            report = undo_run(order["undoes"], sync, shop.environment, account, who="ada", why="wrong", **options)
        elif order["forgets"]:
            subject = Subject(sync.sync, sync, account)
            forgetting = Forgetting(order["forgets"], [subject], shop.environment)
            forgetting.go(who="ada", why="asked for it", at_destinations=True)
            return
        else:
            trial = Trial(first=order["first"]) if order["first"] else None
            report = shop.run(sync, account, plan_id=order["plan_id"], trial=trial, **options)
    except ReverseEtlError as error:
        say("error", json.dumps({"error": type(error).__name__, "message": str(error)}))
    else:
        found = {"status": report.status, "counts": dict(report.counts), "recovered": report.recovered}
        say("report", json.dumps(found))


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
            os._exit(0)
        say("pid", child)
        say("end", os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
