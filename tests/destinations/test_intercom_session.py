"""Intercom against the sandbox: its check, and whole runs of the engine."""

import asyncio
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.intercom import Intercom
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed, DestinationError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import FieldType, Operation, Target
from reverse_etl_assets.runs.forget import Forgetting, Subject
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_sandbox.server import Sandbox
from reverse_etl_sandbox.store import Table
from tests.destinations import accounts
from tests.engine.shop import FAST, Shop, sink_sync
from tests.heavy import heavy

PEOPLE = "select 'c-' || i as id, 'name ' || i as name, 'p' || i || '@x.example' as email from range({}) r(i)"
MEMBERS = "select 'c-' || i as customer, 'acme-' || (i % 2) as company, true as kept from range({}) r(i)"


@pytest.fixture
def intercom(sandbox: Sandbox) -> Sandbox:
    """Without its limits."""
    sandbox.settings.change({"intercom_ten_second_requests": 1_000_000})
    return sandbox


def check(sandbox: Sandbox, to: Target, token: str = "ic-sandbox", **options: Any) -> dict[str, list[str]]:
    async def work() -> dict[str, list[str]]:
        async with httpx.AsyncClient() as client:
            destination = Intercom(accounts.intercom(sandbox.url, token), to, Intercom.Options(**options), client)
            await destination.check()
            return dict(destination.learned())

    return asyncio.run(work())


def contacts(key: str = "external_id", **fields: FieldType) -> Target:
    return target("contacts", key, *Operation, **fields)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (
            target("people", "external_id", note=FieldType.TEXT),
            r"no object `people`. Known are `contacts`, `companies`",
        ),
        (contacts(nota=FieldType.TEXT), "no field `nota`; the nearest is `note`"),
        (contacts(score=FieldType.INTEGER), r"`score` is read-only \(the attribute is not open to the API\)"),
        (contacts(old_score=FieldType.INTEGER), r"`old_score` is read-only \(the attribute is archived\)"),
        (contacts(role=FieldType.TEXT), "`role` is read-only"),
        (contacts(grade=FieldType.BOOLEAN), r"none of its options is one \(hot, warm, cold\): send one of them"),
        (contacts(grade=FieldType.FLOAT), "none of its options is one"),
        (contacts(seats=FieldType.TEXT), "`seats` is of type integer, and the model sends text: cast the column"),
        (contacts("phone"), "`phone` is no key of `contacts`: match by `external_id` or `email`"),
        (target("companies", "name", size=FieldType.INTEGER), "`name` is no key of `companies`: match by `company_id`"),
        (
            target("companies", "company_id", Operation.UPDATE, remote_created_at=FieldType.DATE),
            "an update of a company does not take it",
        ),
        (target("tags/", "external_id"), "`tags/` names no tag"),
        (target("tags/vip", "customer_id"), "`external_id: external_id` or `external_id: email`"),
        (target("tags/vip", "external_id", note=FieldType.TEXT), "no field `note`: take it out"),
        (target("company_memberships", "a_b", company_id=FieldType.TEXT), "say how contacts are found"),
    ],
)
def test_a_sync_that_does_not_fit(intercom: Sandbox, to: Target, said: str) -> None:
    with pytest.raises(CheckFailed, match=said):
        check(intercom, to)


@pytest.mark.parametrize("object_name", ["contacts", "tags/vip", "company_memberships"])
def test_a_revoked_token_says_that_regions_differ(intercom: Sandbox, object_name: str) -> None:
    with pytest.raises(AuthenticationFailed, match=r"Access Token Invalid.*region") as caught:
        check(intercom, target(object_name, "external_id"), token="ic-revoked")
    assert "ic-revoked" not in str(caught.value)


def test_missing_attributes_are_made_with_the_type_of_their_column(intercom: Sandbox) -> None:
    fields = {f"new_{kind.value}": kind for kind in FieldType}
    with pytest.raises(CheckFailed, match="no field `new_text`"):
        check(intercom, contacts(**fields))
    check(intercom, contacts(note=FieldType.TEXT, **fields), create_attributes=True)
    check(intercom, contacts(note=FieldType.TEXT, **fields))
    made = [line for line in intercom.log.lines() if (line.method, line.path) == ("POST", "/data_attributes")]
    assert len(made) == len(FieldType)


@pytest.mark.parametrize(
    ("field", "said"),
    [("Note", "the nearest is `note`"), ("a%b", "`a%b` could not be made: .*must only contain alphanumeric")],
)
def test_an_attribute_that_cannot_be_made(intercom: Sandbox, field: str, said: str) -> None:
    with pytest.raises(CheckFailed, match=said):
        check(intercom, contacts(**{field: FieldType.TEXT}), create_attributes=True)


def test_nothing_is_made_while_something_else_is_wrong(intercom: Sandbox) -> None:
    with pytest.raises(CheckFailed, match="score"):
        check(intercom, contacts(fresh=FieldType.TEXT, score=FieldType.INTEGER), create_attributes=True)
    with pytest.raises(CheckFailed, match="no field `fresh`"):
        check(intercom, contacts(fresh=FieldType.TEXT))


def test_a_tag_is_made_once_whatever_its_case(intercom: Sandbox) -> None:
    first = check(intercom, target("tags/At risk", "external_id"))
    assert check(intercom, target("tags/AT RISK", "external_id")) == first == {"tag": ["101"]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"grade": "boiling"}, "does not have the option"),
        ({"email": "no address"}, "email is invalid"),
        ({"unheard": 1}, "'unheard' does not exist"),
        ({"vip": "yes"}, "not a valid boolean"),
    ],
)
def test_a_bad_value_is_refused(intercom: Sandbox, fields: dict[str, Any], said: str) -> None:
    async def work() -> None:
        async with httpx.AsyncClient() as client:
            to = contacts(**dict.fromkeys(fields, FieldType.TEXT))
            destination = Intercom(accounts.intercom(intercom.url), to, Intercom.Options(), client)
            with pytest.raises(DestinationError, match=said):
                await destination.send(batch(Operation.UPSERT, record("c-1", **fields)))

    asyncio.run(work())


# Whole runs


class Office:
    """A workspace, and a sync of the shop's people into it."""

    def __init__(self, shop: Shop, sandbox: Sandbox, **changes: Any) -> None:
        self.shop, self.sandbox = shop, sandbox
        connection = accounts.intercom(sandbox.url).model_copy(update={"requests_per_second": FAST, "concurrency": 4})
        self.account = Account("intercom", Intercom, connection)
        self.sync = intercom_sync(**changes)

    def run(self, rows: str) -> Report:
        self.shop.build(rows)
        return self.shop.run(self.sync, self.account)

    @property
    def table(self) -> Table:
        return self.sandbox.intercom.tables[self.sync.object]

    def held(self, field: str) -> dict[str, Any]:
        return {
            entry.values["external_id"]: entry.values.get(field)
            for entry in self.sandbox.intercom.contacts.table.live()
        }

    def statuses(self, report: Report) -> dict[str | None, str]:
        return {key: each.reason or each.status for key, each in self.shop.by_key(self.sync, report).items()}

    def requests(self, *words: str) -> int:
        lines = [f"{line.method} {line.path}" for line in self.sandbox.log.lines()]
        return sum(all(word in line for word in words) for line in lines)


def intercom_sync(**changes: Any) -> Sync:
    spec: dict[str, Any] = {
        "destination": "intercom",
        "object": "contacts",
        "mapping": {"external_id": "id", "name": "name", "email": "email"},
        "sync_mode": "mirror",
        "options": {},
        "max_failed": {"percent": 100},
        "guards": {"max_removed": {}, "row_count": {"percent": None, "deviations": None}},
    }
    return sink_sync(**{**spec, **changes})


def test_contacts_follow_their_rows(shop: Shop, intercom: Sandbox) -> None:
    """Created, changed, refused, archived, and brought back; each row with one outcome, each request in place."""
    office = Office(shop, intercom, before_images="synced", verify={"sample": "all"})
    intercom.add("intercom", "contacts", {"role": "user", "external_id": "c-0", "name": "was here"})
    first = office.run(PEOPLE.format(4))
    assert office.statuses(first) == {"c-0": "updated", "c-1": "created", "c-2": "created", "c-3": "created"}
    assert office.held("name") == {f"c-{n}": f"name {n}" for n in range(4)}
    assert (office.requests("POST /contacts"), office.requests("PUT /contacts")) == (4, 1)

    changed = "select * replace (case id when 'c-1' then 'new' else name end as name, case id when 'c-2' then 'bad'"
    second = office.run(f"{changed} else email end as email) from ({PEOPLE.format(3)})")
    assert office.statuses(second) == {"c-1": "updated", "c-2": "rejected", "c-3": "deleted"}
    assert set(office.held("name")) == {"c-0", "c-1", "c-2"}
    assert office.requests("POST /contacts", "/archive") == 1

    third = office.run(PEOPLE.format(4))
    assert office.statuses(third) == {"c-1": "updated", "c-3": "updated"}
    assert office.requests("/unarchive") == 1
    assert office.held("name") == {f"c-{n}": f"name {n}" for n in range(4)}
    before = len(intercom.log.lines())
    office.run(PEOPLE.format(4))
    assert [line for line in intercom.log.lines()[before:] if line.method != "GET"] == []
    counters = intercom.counts()["intercom"]["objects"]["contacts"]
    assert {name: counters[name] for name in ("updated", "deleted", "refused")} == {
        "updated": 4,
        "deleted": 1,
        "refused": 1,
    }


@heavy
def test_a_contact_that_somebody_archived_is_written_again(shop: Shop, intercom: Sandbox) -> None:
    office = Office(shop, intercom, before_images="synced", verify={"sample": 0})
    office.run(PEOPLE.format(2))
    entry = office.table.find("external_id", "c-1")[0]
    intercom.remove("intercom", "contacts", entry.id)
    report = office.run(PEOPLE.format(2).replace("'name '", "'Name '"))
    assert office.statuses(report) == {"c-0": "updated", "c-1": "updated"}
    held = office.table.entries[entry.id]
    assert (held.archived, held.values["name"], held.values["email"]) == (False, "Name 1", "p1@x.example")


@heavy
def test_a_lost_answer_makes_no_second_contact(shop: Shop, intercom: Sandbox) -> None:
    office = Office(shop, intercom, before_images="synced", verify={"sample": 0})
    intercom.fault("drop_after", vendor="intercom", method="POST", path="^/contacts$", next=3)
    report = office.run(PEOPLE.format(5))
    assert report.counts["failed"] == 0
    assert len(office.table.live()) == 5


@heavy
def test_a_person_s_correction_stays_and_an_undo_puts_back(shop: Shop, intercom: Sandbox) -> None:
    """Both rest on reading contacts back."""
    mapping = {"external_id": "id", "name": {"column": "name", "wins": "unless_edited"}, "email": "email"}
    office = Office(shop, intercom, mapping=mapping, sync_mode="incremental")
    office.run(PEOPLE.format(2))
    entry = office.table.find("external_id", "c-0")[0]
    intercom.edit("intercom", "contacts", entry.id, {"name": "Zoë"})
    report = office.run(PEOPLE.format(2).replace("'name '", "'Name '"))
    assert office.statuses(report) == {"c-0": "kept", "c-1": "updated"}
    assert office.held("name") == {"c-0": "Zoë", "c-1": "Name 1"}
    undo_run(report.run_id, office.sync, shop.environment, office.account, who="ada", why="wrong names")
    assert office.held("name") == {"c-0": "Zoë", "c-1": "name 1"}


@heavy
def test_contacts_by_address_are_not_read_back(shop: Shop, intercom: Sandbox) -> None:
    office = Office(shop, intercom, primary_key="email", mapping={"email": "email", "name": "name"})
    intercom.settings.change({"intercom_search_lag_seconds": 120.0})
    report = office.run(PEOPLE.format(3))
    assert report.status is not RunStatus.FAILED
    assert report.counts["created"] == 3
    assert office.requests("search") == office.requests("GET /contacts") == 0
    assert office.run(PEOPLE.format(3).replace("name ", "new ")).counts["updated"] == 3


@heavy
def test_an_update_waits_for_what_search_does_not_know_yet(shop: Shop, intercom: Sandbox) -> None:
    office = Office(shop, intercom, sync_mode="update_only", before_images="synced", verify={"sample": 0})
    intercom.add("intercom", "contacts", {"role": "user", "external_id": "c-0"})
    intercom.settings.change({"intercom_search_lag_seconds": 120.0})
    assert office.statuses(office.run(PEOPLE.format(1))) == {"c-0": "not_found"}
    intercom.settings.change({"intercom_search_lag_seconds": 0.0})
    assert office.statuses(office.run(PEOPLE.format(1))) == {"c-0": "updated"}


@heavy
def test_a_tag_follows_a_segment(shop: Shop, intercom: Sandbox) -> None:
    for number in range(3):
        intercom.add("intercom", "contacts", {"role": "user", "external_id": f"c-{number}"})
    office = Office(shop, intercom, object="tags/At risk", mapping={"external_id": "id"})
    first = office.run(PEOPLE.format(4))
    assert office.statuses(first) == {"c-0": "created", "c-1": "created", "c-2": "created", "c-3": "not_found"}
    assert {entry.values["external_id"] for entry in office.table.live()} == {"c-0", "c-1", "c-2"}
    assert office.statuses(office.run(PEOPLE.format(1))) == {"c-1": "deleted", "c-2": "deleted"}
    assert [entry.values["external_id"] for entry in office.table.live()] == ["c-0"]
    assert office.requests("search") == 2  # whose tags are put on, and whose are taken off

    intercom.intercom.tags.delete("At risk")
    stopped = office.run(PEOPLE.format(2))
    assert stopped.status is RunStatus.FAILED
    assert "Tag `At risk` is gone" in str(stopped.detail)


@heavy
def test_memberships_follow_their_rows(shop: Shop, intercom: Sandbox) -> None:
    for number in range(3):
        intercom.add("intercom", "contacts", {"role": "user", "external_id": f"c-{number}"})
        intercom.add("intercom", "companies", {"company_id": f"acme-{number}"})
    mapping = {"external_id": "customer", "company_id": "company"}
    pairs = {"primary_key": ["customer", "company"], "external_id": "external_id", "mapping": mapping}
    office = Office(shop, intercom, object="company_memberships", **pairs)
    first = office.run(MEMBERS.format(4))
    gone = {"c-0|acme-0": "created", "c-1|acme-1": "created", "c-2|acme-0": "created", "c-3|acme-1": "not_found"}
    assert office.statuses(first) == gone
    contact, company = (intercom.intercom.tables[name] for name in ("contacts", "companies"))
    tied = {
        (
            contact.entries[t.values["contact"]].values["external_id"],
            company.entries[t.values["company"]].values["company_id"],
        )
        for t in office.table.live()
    }
    assert tied == {("c-0", "acme-0"), ("c-1", "acme-1"), ("c-2", "acme-0")}
    assert office.statuses(office.run(MEMBERS.format(2))) == {"c-2|acme-0": "deleted"}
    assert len(office.table.live()) == 2


@heavy
def test_companies_follow_their_rows(shop: Shop, intercom: Sandbox) -> None:
    mapping = {"company_id": "id", "name": "name"}
    office = Office(
        shop, intercom, object="companies", mapping=mapping, before_images="synced", verify={"sample": "all"}
    )
    assert office.run(PEOPLE.format(3)).counts["created"] == 3
    second = office.run(PEOPLE.format(2).replace("name ", "new "))
    assert {name: second.counts[name] for name in ("created", "updated", "deleted")} == {
        "created": 0,
        "updated": 2,
        "deleted": 1,
    }
    assert sorted(entry.values["name"] for entry in office.table.live()) == ["new 0", "new 1"]


@heavy
def test_a_contact_that_was_archived_before_is_deleted_for_good(shop: Shop, intercom: Sandbox) -> None:
    """By the id that the state knows; the key finds nothing any more."""
    office = Office(shop, intercom, before_images="synced", verify={"sample": 0})
    office.run(PEOPLE.format(2))
    assert office.statuses(office.run(PEOPLE.format(1))) == {"c-1": "deleted"}
    subject = Subject(office.sync.sync, office.sync, office.account)
    [forgotten] = Forgetting("c-1", [subject], shop.environment).go(who="ann", why="asked for it", permanently=True)
    assert [outcome.status for outcome in forgotten.deletion.outcomes] == ["deleted"]
    assert (forgotten.deletion.left, forgotten.purged) == ([], True)
    assert office.requests("DELETE /contacts/") == 1
