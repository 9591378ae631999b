"""The destination's check: made once for a target, and what it learned kept for the runs that do not repeat it."""

from typing import Any

from pydantic import SecretStr

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.salesforce import Salesforce, SalesforceConnection
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink_sync
from tests.heavy import heavy


def salesforce(url: str) -> Account:
    connection = SalesforceConnection(
        base_url=f"{url}/salesforce", client_id="sandbox", client_secret=SecretStr("sandbox-secret")
    )
    return Account("salesforce", Salesforce, connection)


def describes(sandbox: Sandbox) -> int:
    return sum("describe" in line.path for line in sandbox.log.lines())


def contacts(**changes: Any) -> Any:
    mapping = {"External_Id__c": "id", "LastName": "name", "Title": "age"}  # Title is text, age a number
    spec = {"destination": "salesforce", "object": "Contact", "mapping": mapping, "options": {}}
    return sink_sync(**{**spec, **changes})


def test_what_a_check_learned_holds_for_runs_that_do_not_repeat_it(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'k1' as id, 'Ada' as name, 36 as age")
    account = salesforce(sandbox.url)
    assert shop.run(contacts(), account).counts["created"] == 1
    asked = describes(sandbox)

    shop.sql("update marts.people set age = 37")
    report = shop.run(contacts(), account)

    assert report.counts["updated"] == 1, report.counts
    assert describes(sandbox) == asked
    (record,) = sandbox.salesforce.tables["Contact"].find("External_Id__c", "k1")
    assert record.values["Title"] == "37"


@heavy
def test_a_changed_mapping_is_checked_again(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'k1' as id, 'Ada' as name, 36 as age")
    account = salesforce(sandbox.url)
    shop.run(contacts(), account)
    asked = describes(sandbox)

    shop.run(contacts(mapping={**contacts().mapping, "Department": "age"}), account)

    assert describes(sandbox) == asked + 1


@heavy
def test_a_check_of_a_clock_that_was_ahead_is_made_again(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'k1' as id, 'Ada' as name, 36 as age")
    account = salesforce(sandbox.url)
    shop.run(contacts(), account)
    asked = describes(sandbox)
    with shop.warehouse.open(contacts().sync, write=True) as con:
        con.execute("update state.facts set value = (value::double + 1e7)::varchar where name = 'checked_at'")
    for age in (37, 38):
        shop.sql(f"update marts.people set age = {age}")
        shop.run(contacts(), account)
    assert describes(sandbox) == asked + 1
