"""Several rows of the model that are one record at the vendor: it goes when no row stands for it any more."""

import hashlib
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.readback.verification import verify
from reverse_etl_assets.runs.forget import Forgetting, Subject
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.meta_ads import CUSTOMERS
from reverse_etl_sandbox.server import Sandbox
from tests.destinations.test_google_ads_runs import audience, google_ads, held
from tests.engine.audiences import audience_sync, meta
from tests.engine.launcher import zendesk
from tests.engine.shop import Shop, crm, crm_sync, sink_sync
from tests.heavy import first_rows, heavy

LIMITLESS: dict[str, Any] = {"max_removed": {}, "row_count": {"percent": None, "deviations": None}}
TWO = "values ('a', 'ann@shop.example', 'Ann'), ('b', 'ann@shop.example', 'Anna'), ('c', 'bob@shop.example', 'Bob')"


class Desk:
    """Zendesk users, which Zendesk takes for one if they have one e-mail address, whatever their external ids."""

    def __init__(self, shop: Shop, sandbox: Sandbox, **changes: Any) -> None:
        sandbox.settings.change({"zendesk_requests": 1_000_000})
        self.shop, self.sandbox = shop, sandbox
        self.account: Account = zendesk(sandbox.url)
        self.sync: Sync = sink_sync(
            **{
                "sync": "people_to_zendesk",
                "destination": "zendesk",
                "object": "users",
                "external_id": "external_id",
                "mapping": {"name": "name", "email": "email"},
                "sync_mode": "mirror",
                "options": {"bulk": False},
                "guards": LIMITLESS,
                **changes,
            }
        )

    def run(self, rows: str) -> Report:
        self.shop.build(f"select * from ({rows}) as r(id, email, name)")
        return self.shop.run(self.sync, self.account)

    @property
    def names(self) -> list[str]:
        return sorted(each.values["name"] for each in self.sandbox.zendesk.tables["users"].live())

    def reasons(self, report: Report) -> dict[str | None, str | None]:
        return {key: o.reason or o.status for key, o in self.shop.by_key(self.sync, report).items()}


@pytest.fixture
def desk(shop: Shop, sandbox: Sandbox) -> Desk:
    return Desk(shop, sandbox)


def test_rows_that_share_a_record_are_counted_from_the_first_run_on(desk: Desk) -> None:
    first = desk.run(TWO)
    assert (first.counts["created"], first.counts["updated"], first.counts["possible_duplicates"]) == (2, 1, 2)
    again = desk.run(TWO)
    assert (again.change_set, again.counts["possible_duplicates"]) == (0, 2)


@pytest.mark.parametrize(("leaves", "stays"), first_rows([("a", "Anna"), ("b", "Ann")]))
def test_a_record_stays_while_a_row_stands_for_it(desk: Desk, leaves: str, stays: str) -> None:
    """Whichever row leaves: the record holds the values of the one that stays."""
    desk.run(TWO)
    report = desk.run(f"select * from ({TWO}) as t(id, email, name) where id <> '{leaves}'")
    assert desk.reasons(report)[leaves] == "shared"
    assert report.counts["deleted"] == 0
    assert desk.names == sorted([stays, "Bob"])
    assert report.counts["possible_duplicates"] == 0
    assert desk.run(f"select * from ({TWO}) as t(id, email, name) where id <> '{leaves}'").change_set == 0


@heavy
def test_what_one_of_several_rows_sent_is_not_missed(shop: Shop, sandbox: Sandbox) -> None:
    """The record holds what the last of them sent: a look at it finds nothing wrong, and mends nothing for ever."""
    desk = Desk(shop, sandbox, verify={"sample": "all"})
    first = desk.run(TWO)
    assert first.verified is not None
    assert (first.verified.looked_at, first.verified.wrong) == (1, 0)
    drifted = verify(desk.sync, shop.environment, desk.account, sample="all", repair=True)
    assert (drifted.looked_at, drifted.wrong, drifted.resent) == (1, 0, 0)
    report = desk.run("values ('a', 'ann@shop.example', 'Ann'), ('c', 'bob@shop.example', 'Bob')")
    assert report.verified is not None
    assert (report.verified.looked_at, report.verified.wrong) == (1, 0)
    drifted = verify(desk.sync, shop.environment, desk.account, sample="all")
    assert (drifted.looked_at, drifted.wrong) == (2, 0), "a alone stands for the record now"


@heavy
def test_the_record_goes_with_the_last_row(desk: Desk) -> None:
    desk.run(TWO)
    report = desk.run("values ('c', 'bob@shop.example', 'Bob')")
    assert sorted(map(str, desk.reasons(report).values())) == ["deleted", "shared"]
    assert desk.names == ["Bob"]
    assert desk.shop.state(desk.sync, "select _retl_key from state.synced") == [("c",)]


@heavy
def test_a_new_row_keeps_the_record_of_one_that_leaves(desk: Desk) -> None:
    """A key was given anew: that the new row means the same record shows with its answer."""
    desk.run(TWO)
    report = desk.run("values ('a', 'ann@shop.example', 'Ann'), ('b', 'ann@shop.example', 'Anna'),"
                      " ('d', 'bob@shop.example', 'Robert')")  # fmt: skip
    assert desk.reasons(report) == {"c": "shared", "d": "updated"}
    assert desk.names == ["Anna", "Robert"]


@heavy
def test_what_could_not_be_sent_to_the_record_is_sent_by_the_next_run(desk: Desk) -> None:
    desk.run(TWO)
    desk.sandbox.fault("refuse_rows", vendor="zendesk", percent=100)
    alone = "values ('a', 'ann@shop.example', 'Ann'), ('c', 'bob@shop.example', 'Bob')"
    failed = desk.run(alone)
    assert desk.reasons(failed) == {"a": "rejected", "b": "shared"}
    assert desk.names == ["Anna", "Bob"]
    desk.sandbox.faults.clear()
    assert desk.run(alone).counts["updated"] == 1
    assert desk.names == ["Ann", "Bob"]


@heavy
def test_an_undo_leaves_a_record_that_a_row_of_another_run_stands_for(desk: Desk) -> None:
    first = desk.run("values ('a', 'ann@shop.example', 'Ann')")
    desk.run("values ('a', 'ann@shop.example', 'Ann'), ('b', 'ann@shop.example', 'Anna')")
    undone = undo_run(first.run_id, desk.sync, desk.shop.environment, desk.account, who="ada", why="a test")
    assert (undone.counts["deleted"], undone.counts["skipped_shared"]) == (0, 1)
    assert desk.names == ["Anna"]
    assert desk.run("values ('b', 'ann@shop.example', 'Anna')").counts["skipped_same"] == 1  # looked at again


@heavy
def test_an_undo_takes_back_a_record_that_two_rows_of_the_run_wrote(desk: Desk) -> None:
    first = desk.run(TWO)
    undone = undo_run(first.run_id, desk.sync, desk.shop.environment, desk.account, who="ada", why="a test")
    assert undone.counts["deleted"] == 2
    assert desk.names == []


@heavy
def test_an_undo_says_that_a_row_shared_its_record(desk: Desk) -> None:
    """The row had not been synced before; its record had, as that of another row."""
    desk.run("values ('a', 'ann@shop.example', 'Ann')")
    second = desk.run("values ('a', 'ann@shop.example', 'Ann'), ('b', 'ann@shop.example', 'Anna')")
    undone = undo_run(second.run_id, desk.sync, desk.shop.environment, desk.account, who="ada", why="a test")
    assert desk.reasons(undone) == {"b": "invalid"}
    assert "another row stands for the same record" in str(desk.shop.by_key(desk.sync, undone)["b"].message)


@heavy
def test_who_is_to_be_forgotten_goes_whoever_shares_the_record(desk: Desk) -> None:
    """The other row stays in the model: the next run makes a record for it."""
    desk.run(TWO)
    forgetting = Forgetting("a", [Subject(desk.sync.sync, desk.sync, desk.account)], desk.shop.environment)
    forgetting.go(who="ada", why="asked", at_destinations=True, even_if_in_model=True)
    assert desk.names == ["Bob"]
    report = desk.run("values ('b', 'ann@shop.example', 'Anna'), ('c', 'bob@shop.example', 'Bob')")
    assert report.counts["created"] == 1
    assert desk.names == ["Anna", "Bob"]


@pytest.fixture
def merged(shop: Shop, sandbox: Sandbox) -> Sync:
    """Ann's two contacts are one since, which carries both addresses; the first row of hers, which leaves now, still
    has the id of the one that is gone."""
    sync, account = crm_sync(sync_mode="mirror", guards=LIMITLESS), crm(sandbox.url)
    shop.build("select * from (values ('ann@x.org', 'Ann'), ('old@x.org', 'Ann'), ('bob@x.org', 'Bob')) r(email, name)")
    shop.run(sync, account)
    contacts = {each.values["email"]: each.id for each in sandbox.hubspot.tables["contacts"].live()}
    sandbox.remove("hubspot", "contacts", contacts["old@x.org"])
    sandbox.remove("hubspot", "contacts", contacts["ann@x.org"])
    sandbox.add("hubspot", "contacts", {"email": "ann@x.org", "hs_additional_emails": "old@x.org", "firstname": "Ann"})
    shop.build("select * from (values ('ann@x.org', 'Ann'), ('bob@x.org', 'Bob')) r(email, name)")
    return sync


@heavy
def test_a_record_that_was_merged_into_that_of_another_row_stays(shop: Shop, sandbox: Sandbox, merged: Sync) -> None:
    sync, account = merged, crm(sandbox.url)
    report = shop.run(sync, account)
    assert shop.by_key(sync, report)["old@x.org"].reason == "shared"
    assert sandbox.counts()["hubspot"]["objects"]["contacts"]["records"] == 2
    assert shop.run(sync, account).change_set == 1  # what merging left of her values is looked at
    shop.build("select 'bob@x.org' as email, 'Bob' as name")
    assert shop.run(sync, account).counts["deleted"] == 1


@heavy
def test_a_run_that_broke_off_does_not_forget_whose_record_it_met(shop: Shop, sandbox: Sandbox, merged: Sync) -> None:
    def breaks_off(plan: Any, statuses: Any) -> None:
        raise RuntimeError("broke off here")

    with pytest.raises(RuntimeError, match="broke off here"):
        shop.run(merged, crm(sandbox.url), on_progress=breaks_off)
    report = shop.run(merged, crm(sandbox.url))
    assert shop.by_key(merged, report)["old@x.org"].reason == "shared"
    assert shop.run(merged, crm(sandbox.url)).change_set == 1  # her row that stays
    assert sandbox.counts()["hubspot"]["objects"]["contacts"]["records"] == 2


@heavy
def test_a_contact_stays_on_a_list_while_one_of_its_addresses_does(shop: Shop, sandbox: Sandbox) -> None:
    sandbox.add("hubspot", "contacts", {"email": "ann@x.org", "hs_additional_emails": "old@x.org"})
    sync = crm_sync(
        object="lists/1", external_id="email", mapping={"email": "email"}, sync_mode="mirror", guards=LIMITLESS
    )
    shop.build("select unnest(['ann@x.org', 'old@x.org']) as email")
    first = shop.run(sync, crm(sandbox.url))
    assert first.counts["possible_duplicates"] == 2
    shop.build("select 'ann@x.org' as email")
    report = shop.run(sync, crm(sandbox.url))
    assert shop.by_key(sync, report)["old@x.org"].reason == "shared"
    assert len(sandbox.hubspot.tables["lists/1"].live()) == 1
    shop.build("select 'other@x.org' as email")
    assert shop.run(sync, crm(sandbox.url)).counts["deleted"] == 1
    assert not sandbox.hubspot.tables["lists/1"].live()


@heavy
def test_a_person_stays_in_an_audience_of_google_while_a_row_stands_for_them(shop: Shop, sandbox: Sandbox) -> None:
    """Google reads an address of Gmail without its dots. Who has a number in common with another row is one person."""
    sync, account = audience(mapping={"email": "name", "phone": "phone"}), google_ads(sandbox)
    people = (
        "values ('1', 'a.nn@gmail.com', '+41446681800'), ('2', 'ann@gmail.com', '+41446681800'),"
        " ('3', 'bob@x.org', '+41446681801'), ('4', 'bob@y.org', '+41446681801')"
    )
    shop.build(f"select * from ({people}) r(id, name, phone)")
    assert shop.run(sync, account).counts["possible_duplicates"] == 4
    assert held(sandbox) == 2
    shop.build(f"select * from ({people}) r(id, name, phone) where id in ('2', '4')")
    outcomes = shop.by_key(sync, shop.run(sync, account))
    assert (outcomes["1"].reason, outcomes["3"].reason) == ("shared", "shared")
    assert held(sandbox) == 2
    # The row that stays goes with all that was uploaded for the person, also if Google holds that by itself.
    for each in sandbox.google_ads.tables["1001"].live():
        sandbox.remove("google_ads", "1001", each.id)
    sandbox.add("google_ads", "1001", {"emailAddress": hashlib.sha256(b"bob@x.org").hexdigest()})
    shop.build("select '5' as id, 'eve@x.org' as name, '+41446681802' as phone")
    report = shop.run(sync, account)
    assert report.counts["deleted"] == 2
    [left] = [each.values for each in sandbox.google_ads.tables["1001"].live()]  # nothing of who has gone
    assert left["phoneNumber"] == hashlib.sha256(b"+41446681802").hexdigest()


@heavy
def test_a_person_stays_in_an_audience_of_meta_while_a_row_has_the_number(shop: Shop, sandbox: Sandbox) -> None:
    """Two keys, one number: Meta gets the same hash for both."""
    sync = audience_sync(primary_key="phone", mapping={"PHONE": "phone", "FN": "name"})
    shop.build("select * from (values ('+41 44 668 18 00', 'Ann'), ('+41446681800', 'Anna')) r(phone, name)")
    assert shop.run(sync, meta(sandbox.url)).counts["possible_duplicates"] == 2
    shop.build("select '+41446681800' as phone, 'Anna' as name")
    report = shop.run(sync, meta(sandbox.url))
    assert shop.by_key(sync, report)["+41 44 668 18 00"].reason == "shared"
    assert report.counts["updated"] == 1
    assert len(sandbox.meta_ads.tables[CUSTOMERS].live()) == 1
