"""python-intercom, the official SDK, against the sandbox; and what the SDK hides, over plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from intercom import (
    CreateContactRequestWithExternalId,
    CreateContactRequestWithRole,
    CreateDataAttributeRequestOne,
    CreateOrUpdateCompanyRequest,
    CreateOrUpdateTagRequest,
    Intercom,
    MultipleFilterSearchRequest,
    SingleFilterSearchRequest,
    TagMultipleUsersRequest,
    TagMultipleUsersRequestUsersItem,
)
from intercom.core.api_error import ApiError
from intercom.errors import BadRequestError, NotFoundError, UnauthorizedError
from intercom.types import StartingAfterPaging

from reverse_etl_sandbox import Sandbox
from tests.sandbox.conftest import Clock


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Intercom]:
    with httpx.Client(trust_env=False, timeout=10) as http:
        yield Intercom(token="ic-sandbox", base_url=f"{sandbox.url}/intercom", httpx_client=http)


@pytest.fixture
def plain(sandbox: Sandbox, http: httpx.Client) -> httpx.Client:
    http.base_url = httpx.URL(sandbox.url + "/intercom")
    http.headers["Authorization"] = "Bearer ic-sandbox"
    return http


def make(client: Intercom, external_id: str, email: str = "", **custom: object) -> str:
    address = {"email": email} if email else {}
    request = CreateContactRequestWithExternalId(external_id=external_id, custom_attributes=custom, **address)
    made = client.contacts.create(request=request)
    assert made.id is not None
    return made.id


def search(client: Intercom, field: str, *values: str, per_page: int = 50) -> list[str | None]:
    """All pages; the SDK's own pager asks for the first one for ever."""
    wanted = SingleFilterSearchRequest(field=field, operator="IN", value=list(values))
    user = SingleFilterSearchRequest(field="role", operator="=", value="user")
    query = MultipleFilterSearchRequest(operator="AND", value=[wanted, user])
    found: list[str | None] = []
    page = StartingAfterPaging(per_page=per_page)
    while True:
        told = client.contacts.search(query=query, pagination=page).response
        found += [each.id for each in told.data]
        if told.pages.next is None:
            return found
        page = StartingAfterPaging(per_page=per_page, starting_after=told.pages.next.starting_after)


def test_a_contact_is_made_changed_and_found(client: Intercom) -> None:
    made = make(client, "c-1", "Ann@Example.com", note="hi", seats=3)
    changed = client.contacts.update(made, name="Ann", custom_attributes={"note": None, "vip": True})
    assert (changed.id, changed.name, changed.email) == (made, "Ann", "ann@example.com")
    assert changed.custom_attributes == {"seats": 3, "vip": True}
    assert client.contacts.find(made).external_id == "c-1"
    assert client.contacts.show_contact_by_external_id("c-1").id == made
    assert search(client, "external_id", "c-1", "c-2") == search(client, "email", "ANN@example.com") == [made]


def test_search_pages_and_lags_behind(client: Intercom, sandbox: Sandbox, clock: Clock) -> None:
    made = [make(client, f"c-{number}") for number in range(5)]
    keys = [f"c-{number}" for number in range(5)]
    assert search(client, "external_id", *keys, per_page=2) == made
    with pytest.raises(ApiError) as caught:
        search(client, "external_id", *keys, per_page=151)
    assert caught.value.status_code == 400
    sandbox.settings.change({"intercom_search_lag_seconds": 60.0})
    assert search(client, "external_id", "c-1") == []
    assert client.contacts.show_contact_by_external_id("c-1").id == made[1]
    clock.now += 61
    assert search(client, "external_id", "c-1") == [made[1]]


def test_a_second_contact_with_the_same_details_is_refused(client: Intercom) -> None:
    made = make(client, "c-1", "ann@example.com")
    with pytest.raises(ApiError) as caught:
        make(client, "c-1")
    assert caught.value.status_code == 409
    assert caught.value.body["errors"][0]["message"] == (
        f"A contact matching those details already exists with id={made}"
    )
    assert make(client, "c-2", "ann@example.com") != made  # one address, two users


def test_archived_and_deleted_contacts_stand_in_the_way(client: Intercom) -> None:
    """As recorded: a contact deleted for good can be neither made again nor brought back."""
    made, other = make(client, "c-1"), make(client, "c-2")
    assert client.contacts.archive(made).archived is True
    assert client.contacts.delete(other).deleted is True
    for gone, key in ((made, "c-1"), (other, "c-2")):
        with pytest.raises(ApiError) as caught:
            client.contacts.find(gone)
        assert (caught.value.status_code, caught.value.body["errors"][0]["message"]) == (404, "User Not Found")
        with pytest.raises(ApiError) as caught:
            make(client, key)
        assert caught.value.body["errors"][0]["message"].startswith("An archived contact matching")
    assert client.contacts.unarchive(made).archived is False
    assert client.contacts.find(made).external_id == "c-1"
    with pytest.raises(ApiError) as caught:
        client.contacts.unarchive(other)
    assert caught.value.status_code == 500


def test_leads_have_ids_of_their_own(client: Intercom) -> None:
    request = CreateContactRequestWithRole(role="lead", email="ann@example.com", external_id="mine")
    leads = [client.contacts.create(request=request) for _ in range(2)]
    assert len({lead.id for lead in leads}) == 2
    assert "mine" not in {lead.external_id for lead in leads}
    assert search(client, "email", "ann@example.com") == []


def test_companies_are_upserted_by_their_key(client: Intercom, clock: Clock) -> None:
    def put(**fields: Any) -> Any:
        return client.companies.create_or_update(request=CreateOrUpdateCompanyRequest(company_id="acme", **fields))

    first = put(name="Acme", plan="growth", monthly_spend=10)
    clock.now += 5
    second = put(name="Acme Ltd", custom_attributes={"health": 0.5})
    assert (first.id, first.created_at) == (second.id, first.updated_at)
    assert second.updated_at == second.created_at + 5
    assert (second.plan.name, second.custom_attributes) == ("growth", {"health": 0.5})
    assert client.companies.find(second.id).name == "Acme Ltd"
    assert client.companies.delete(second.id).deleted is True
    with pytest.raises(NotFoundError):
        client.companies.find(second.id)


def test_a_company_is_archived_after_the_answer(client: Intercom, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.settings.change({"intercom_archive_seconds": 30.0})
    company = client.companies.create_or_update(request=CreateOrUpdateCompanyRequest(company_id="acme"))
    assert client.companies.delete(company.id).deleted is True
    assert client.companies.find(company.id).company_id == "acme"
    clock.now += 31
    with pytest.raises(NotFoundError):
        client.companies.find(company.id)


def test_contacts_join_and_leave_companies(client: Intercom, plain: httpx.Client) -> None:
    contact = make(client, "c-1")
    company = client.companies.create_or_update(request=CreateOrUpdateCompanyRequest(company_id="acme"))
    assert client.companies.attach_contact(contact, company_id=company.id).id == company.id
    assert client.companies.attach_contact(contact, company_id=company.id).user_count == 1
    told = plain.get(f"/contacts/{contact}/companies").json()["data"]
    assert [each["company_id"] for each in told] == ["acme"]
    assert client.companies.detach_contact(contact, company.id).user_count == 0
    with pytest.raises(NotFoundError):
        client.companies.attach_contact(contact, company_id="nobody")


def test_tags_are_made_put_on_and_taken_off(client: Intercom) -> None:
    contacts = [make(client, f"c-{number}") for number in range(3)]
    tag = client.tags.create(request=CreateOrUpdateTagRequest(name="VIP"))
    users = [TagMultipleUsersRequestUsersItem(id=each) for each in contacts[:2]]
    assert client.tags.create(request=TagMultipleUsersRequest(name="vip", users=users)).id == tag.id
    assert client.tags.tag_contact(contacts[2], tag_id=tag.id).applied_at is not None
    assert [each.name for each in client.contacts.list_attached_tags(contacts[2]).data] == ["VIP"]
    client.tags.untag_contact(contacts[2], tag.id)
    assert client.contacts.list_attached_tags(contacts[2]).data == []
    with pytest.raises(NotFoundError):
        client.tags.tag_contact(contacts[0], tag_id="9")
    with pytest.raises(NotFoundError):
        client.tags.tag_contact("nobody", tag_id=tag.id)


def test_attributes_are_listed_and_made(client: Intercom) -> None:
    new = CreateDataAttributeRequestOne(name="region", model="contact", data_type="datetime")
    assert client.data_attributes.create(request=new).full_name == "custom_attributes.region"
    listed = {each.name: each for each in client.data_attributes.list(model="contact").data}
    assert (listed["region"].data_type, listed["region"].api_writable) == ("date", True)
    assert "old_score" not in listed
    with pytest.raises(BadRequestError) as caught:
        client.data_attributes.create(request=new)
    assert "You already have 'region' in your people data" in caught.value.body["errors"][0]["message"]


def test_a_wrong_token_is_refused_without_headers_of_the_rate(sandbox: Sandbox) -> None:
    with httpx.Client(trust_env=False) as http:
        stranger = Intercom(token="ic-other", base_url=f"{sandbox.url}/intercom", httpx_client=http)
        with pytest.raises(UnauthorizedError) as caught:
            stranger.contacts.find("1")
    assert caught.value.body.errors[0].message == "Access Token Invalid"
    assert "x-ratelimit-limit" not in (caught.value.headers or {})


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Accept": "text/html"}, 406, "media_type_not_acceptable"),
        ({"Intercom-Version": "3.0"}, 400, "intercom_version_invalid"),
        ({"Intercom-Version": "2.15"}, 200, None),
    ],
)
def test_headers_that_decide(plain: httpx.Client, headers: dict[str, str], status: int, code: str | None) -> None:
    answer = plain.get("/me", headers=headers)
    assert answer.status_code == status
    assert answer.json().get("errors", [{}])[0].get("code") == code


def test_the_window_of_ten_seconds(plain: httpx.Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.settings.change({"intercom_ten_second_requests": 2})
    answers = [plain.get("/me") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.headers["X-RateLimit-Remaining"] for each in answers] == ["1", "0", "0"]
    assert answers[2].headers["X-RateLimit-Reset"] == str(int(clock.now) + 10)
    assert answers[2].json()["errors"][0]["message"] == "Exceeded rate limit of 2 in 10_seconds"
    clock.now += 10.1
    assert plain.get("/me").status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"external_id": "1", "custom_attributes": {"nope": 1}}, "Custom attribute 'nope' does not exist"),
        ({"external_id": "1", "custom_attributes": {"grade": "boiling"}}, "does not have the option"),
        ({"external_id": "1", "custom_attributes": {"seats": "7"}}, "seats is not a valid integer"),
        ({"external_id": "1", "email": None}, "email is invalid"),
        ({"external_id": "1", "phone": "none"}, "phone is invalid"),
        ({"external_id": "1", "colour": "red"}, "bad 'colour' parameter"),
    ],
)
def test_a_bad_field_refuses_the_whole_request(plain: httpx.Client, sandbox: Sandbox, body: object, said: str) -> None:
    answer = plain.post("/contacts", json=body)
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]
    assert sandbox.intercom.contacts.table.live() == []


def test_faults_of_rows_and_a_revoked_token(plain: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="intercom", percent=100)
    assert plain.post("/contacts", json={"external_id": "1"}).status_code == 400
    sandbox.faults.clear()
    sandbox.fault("lose_writes", vendor="intercom", percent=100)
    assert plain.post("/contacts", json={"external_id": "1"}).status_code == 200
    assert sandbox.intercom.contacts.table.live() == []
    sandbox.faults.clear()
    sandbox.fault("expire_token", vendor="intercom", next=1)
    assert [plain.get("/me").status_code for _ in range(2)] == [401, 401]
