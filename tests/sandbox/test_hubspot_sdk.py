"""hubspot-api-client, the official SDK, against the sandbox."""

from __future__ import annotations

from typing import Any

import hubspot
import pytest
from hubspot.crm.companies import exceptions as company_errors
from hubspot.crm.contacts import (
    BatchInputSimplePublicObjectBatchInput,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchInputSimplePublicObjectId,
    BatchReadInputSimplePublicObjectId,
    PublicObjectSearchRequest,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.contacts.exceptions import ApiException, NotFoundException
from hubspot.crm.properties import PropertyCreate

from reverse_etl_sandbox import Sandbox

from .conftest import Clock


def upsert(hs: hubspot.Client, *inputs: dict[str, Any]) -> Any:
    body = BatchInputSimplePublicObjectBatchInputUpsert(inputs=list(inputs))
    return hs.crm.contacts.batch_api.upsert(body)


def person(email: str, trace: str = "", /, **properties: str) -> dict[str, Any]:
    told: dict[str, Any] = {"id": email, "idProperty": "email", "properties": properties}
    return told | {"objectWriteTraceId": trace} if trace else told


def test_batch_upsert_says_new_per_row(hs: hubspot.Client) -> None:
    first = upsert(hs, person("Ada@Example.com", "a", firstname="Ada", email="Ada@Example.com"))
    assert [(r.new, r.object_write_trace_id, r.properties["email"]) for r in first.results] == [
        (True, None, "ada@example.com")
    ]
    second = upsert(hs, person("ADA@example.com", "a", firstname="Augusta"), person("b@example.com", "b"))
    told = {r.id == first.results[0].id: (r.new, r.properties.get("firstname")) for r in second.results}
    assert told == {True: (False, "Augusta"), False: (True, None)}
    assert second.status == "COMPLETE"


def test_results_are_not_in_the_order_of_the_inputs(hs: hubspot.Client) -> None:
    answer = upsert(hs, *(person(f"p{n}@example.com", str(n), firstname=str(n)) for n in range(30)))
    order = [r.properties["firstname"] for r in answer.results]
    assert sorted(order, key=int) == [str(n) for n in range(30)]
    assert order != [str(n) for n in range(30)]


def test_207_names_the_bad_rows(hs: hubspot.Client) -> None:
    answer = upsert(hs, person("a@example.com", "a", city="A"), person("b@example.com", "b", lead_grade="boiling"))
    assert [r.properties["city"] for r in answer.results] == ["A"]
    assert answer.num_errors == 1
    error = answer.errors[0]
    assert (error.category, error.context) == ("VALIDATION_ERROR", {"objectWriteTraceId": ["b"]})
    assert "boiling was not one of the allowed options: [hot, warm, cold]" in error.message


def test_without_trace_ids_one_bad_row_refuses_all(hs: hubspot.Client, sandbox: Sandbox) -> None:
    with pytest.raises(ApiException) as caught:
        upsert(hs, person("a@example.com"), person("b@example.com", lead_grade="boiling"))
    assert caught.value.status == 400
    assert sandbox.hubspot.tables["contacts"].live() == []


def test_batch_create_and_its_conflict(hs: hubspot.Client) -> None:
    def create(*inputs: dict[str, Any]) -> Any:
        return hs.crm.contacts.batch_api.create(BatchInputSimplePublicObjectBatchInputForCreate(inputs=list(inputs)))

    row = {"properties": {"email": "a@example.com"}, "associations": []}
    made = create(row | {"objectWriteTraceId": "0"})
    again = create(row | {"objectWriteTraceId": "0"})
    existing = made.results[0].id
    assert again.errors[0].category == "CONFLICT"
    assert again.errors[0].message == f"Contact already exists. Existing ID: {existing}"
    assert again.errors[0].context == {"objectWriteTraceId": ["0"], "existingId": [existing]}
    with pytest.raises(ApiException) as caught:
        create(row)
    assert caught.value.status == 409


def test_batch_update_read_and_archive(hs: hubspot.Client) -> None:
    made = upsert(hs, person("a@example.com", "a", firstname="A", phone="1")).results[0]
    api = hs.crm.contacts.batch_api
    changes = [{"id": made.id, "properties": {"phone": ""}}, {"id": "1", "properties": {"phone": "2"}}]
    changed = api.update(BatchInputSimplePublicObjectBatchInput(inputs=changes))
    assert [r.id for r in changed.results] == [made.id]
    assert (changed.errors[0].category, changed.errors[0].context) == ("OBJECT_NOT_FOUND", {"ids": ["1"]})
    asked = BatchReadInputSimplePublicObjectId(
        id_property="email",
        properties=["firstname", "phone"],
        properties_with_history=[],
        inputs=[{"id": "A@EXAMPLE.com"}, {"id": "no@example.com"}],
    )
    read = api.read(asked)
    assert [(r.properties["firstname"], r.properties["phone"]) for r in read.results] == [("A", None)]
    assert read.errors[0].context == {"ids": ["no@example.com"]}
    api.archive(BatchInputSimplePublicObjectId(inputs=[{"id": made.id}, {"id": "unknown"}]))
    assert hs.crm.contacts.basic_api.get_page().results == []
    assert hs.crm.contacts.basic_api.get_by_id(made.id, archived=True).archived is True


def test_single_records(hs: hubspot.Client) -> None:
    api = hs.crm.contacts.basic_api
    made = api.create(SimplePublicObjectInputForCreate(properties={"email": "X@example.com"}, associations=[]))
    assert made.properties["email"] == "x@example.com"
    with pytest.raises(ApiException) as caught:
        api.create(SimplePublicObjectInputForCreate(properties={"email": "x@Example.com"}, associations=[]))
    assert caught.value.status == 409
    assert f"Existing ID: {made.id}" in caught.value.body
    api.update("x@example.com", SimplePublicObjectInput(properties={"city": "Bern"}), id_property="email")
    assert api.get_by_id(made.id, properties=["city"]).properties["city"] == "Bern"
    api.archive(made.id)
    with pytest.raises(NotFoundException):
        api.get_by_id(made.id)


def test_upserting_an_archived_email_makes_a_new_record(hs: hubspot.Client) -> None:
    old = upsert(hs, person("a@example.com", "a")).results[0]
    hs.crm.contacts.basic_api.archive(old.id)
    new = upsert(hs, person("a@example.com", "a")).results[0]
    assert (new.new, new.id != old.id) == (True, True)


def test_search(hs: hubspot.Client) -> None:
    upsert(hs, person("a@example.com", "a", lead_score="10"), person("b@example.com", "b", lead_score="9"))
    asked = PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "lead_score", "operator": "GT", "value": "9.5"}]}],
        properties=["email"],
        sorts=[],
        limit=10,
        after="0",
    )
    found = hs.crm.contacts.search_api.do_search(asked)
    assert (found.total, found.results[0].properties["email"]) == (1, "a@example.com")


def test_properties(hs: hubspot.Client) -> None:
    api = hs.crm.properties.core_api
    parts = {part.name: part for part in api.get_all("contacts").results}
    assert parts["external_id"].has_unique_value is True
    assert [option.value for option in parts["lead_grade"].options] == ["hot", "warm", "cold"]
    assert parts["hs_object_id"].modification_metadata.read_only_value is True
    made = api.create(
        "contacts",
        PropertyCreate(
            name="shoe_size", label="Shoe size", type="number", field_type="number", group_name="contactinformation"
        ),
    )
    assert api.get_by_name("contacts", "shoe_size").label == made.label == "Shoe size"
    answer = upsert(hs, person("a@example.com", "a", shoe_size="42.5"))
    assert answer.results[0].properties["shoe_size"] == "42.5"


def test_a_new_unique_property_works_as_id_property(hs: hubspot.Client) -> None:
    hs.crm.properties.core_api.create(
        "contacts",
        PropertyCreate(
            name="user_key",
            label="Key",
            type="string",
            field_type="text",
            group_name="contactinformation",
            has_unique_value=True,
        ),
    )
    row = {"id": "K1", "idProperty": "user_key", "properties": {"firstname": "A"}, "objectWriteTraceId": "0"}
    assert upsert(hs, row).results[0].new is True
    assert upsert(hs, row | {"id": "k1"}).results[0].new is False


def test_a_company_needs_a_name_or_a_domain(hs: hubspot.Client) -> None:
    with pytest.raises(company_errors.ApiException) as caught:
        hs.crm.companies.basic_api.create({"properties": {"city": "Bern"}, "associations": []})
    assert caught.value.status == 400


def test_a_custom_object_by_type_id(hs: hubspot.Client) -> None:
    row = {"id": "u1", "idProperty": "external_id", "properties": {"active_users": "5"}, "objectWriteTraceId": "0"}
    answer = hs.crm.objects.batch_api.upsert("2-1001", {"inputs": [row]})
    assert answer.results[0].properties["active_users"] == "5"


def read(hs: hubspot.Client, *ids: str, by: str | None = "email") -> Any:
    asked = BatchReadInputSimplePublicObjectId(
        id_property=by,
        properties=["email", "city", "lead_score", "interests"],
        properties_with_history=[],
        inputs=[{"id": each} for each in ids],
    )
    return hs.crm.contacts.batch_api.read(asked)


def test_reading_several_properties_and_who_is_missing(hs: hubspot.Client) -> None:
    upsert(hs, person("a@example.com", "a", city="Bern", lead_score="10.50"), person("b@example.com", "b", city=""))
    answer = read(hs, "A@example.com", "b@example.com", "c@example.com", "d@example.com")
    told = {result.properties["email"]: result.properties for result in answer.results}
    assert {name: told["a@example.com"][name] for name in ("city", "lead_score", "interests")} == {
        "city": "Bern",
        "lead_score": "10.50",
        "interests": None,
    }
    assert told["b@example.com"]["city"] is None
    [error] = answer.errors
    assert (answer.num_errors, error.category) == (1, "OBJECT_NOT_FOUND")
    assert sorted(error.context["ids"]) == ["c@example.com", "d@example.com"]


def test_every_write_moves_the_time_of_change(hs: hubspot.Client, sandbox: Sandbox, clock: Clock) -> None:
    made = upsert(hs, person("a@example.com", "a", city="Bern")).results[0]
    seen = [made.updated_at]
    clock.now += 0.25
    upsert(hs, person("a@example.com", "a", city="Bern"))
    seen.append(read(hs, made.id, by=None).results[0].updated_at)
    clock.now += 0.25
    sandbox.edit("hubspot", "contacts", made.id, {"city": "Basel"})
    found = read(hs, made.id, by=None).results[0]
    seen.append(found.updated_at)
    assert seen == sorted(set(seen))
    assert (found.properties["city"], found.created_at) == ("Basel", seen[0])


def test_a_contact_is_found_by_another_of_its_addresses(hs: hubspot.Client, sandbox: Sandbox) -> None:
    held = {"email": "ann@example.com", "hs_additional_emails": "old@example.com;Older@Example.com"}
    made = sandbox.add("hubspot", "contacts", held)
    assert [result.id for result in read(hs, "OLDER@example.com").results] == [made]
    again = upsert(hs, person("old@example.com", "a", city="Bern")).results[0]
    assert (again.new, again.id, again.properties.get("email")) == (False, made, None)
    again = upsert(hs, person("old@example.com", "a", email="old@example.com")).results[0]
    assert (again.id, again.properties["email"]) == (made, "ann@example.com")
    with pytest.raises(ApiException) as caught:
        hs.crm.contacts.basic_api.create({"properties": {"email": "old@example.com"}, "associations": []})
    assert caught.value.status == 409
    sandbox.edit("hubspot", "contacts", made, {"hs_additional_emails": ""})
    assert upsert(hs, person("old@example.com", "a")).results[0].new is True


def test_writing_a_deleted_record(hs: hubspot.Client, sandbox: Sandbox) -> None:
    made = upsert(hs, person("a@example.com", "a")).results[0]
    sandbox.remove("hubspot", "contacts", made.id)
    body = BatchInputSimplePublicObjectBatchInput(inputs=[{"id": made.id, "properties": {"city": "Bern"}}])
    answer = hs.crm.contacts.batch_api.update(body)
    assert answer.results == []
    assert [(error.category, error.context["ids"]) for error in answer.errors] == [("OBJECT_NOT_FOUND", [made.id])]
