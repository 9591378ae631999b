"""hubspot-api-client, the official SDK, against the sandbox's lists and associations."""

from __future__ import annotations

from typing import Any

import hubspot
import pytest
from hubspot.crm.associations.v4 import (
    BatchInputPublicAssociationMultiArchive,
    BatchInputPublicDefaultAssociationMultiPost,
    BatchInputPublicFetchAssociationsBatchRequest,
)
from hubspot.crm.associations.v4.exceptions import ApiException as AssociationError
from hubspot.crm.lists import ListCreateRequest, MembershipChangeRequest
from hubspot.crm.lists.exceptions import ApiException as ListError, NotFoundException

from reverse_etl_sandbox import Sandbox


def contacts(sandbox: Sandbox, count: int) -> list[str]:
    return [sandbox.add("hubspot", "contacts", {"email": f"p{number}@example.com"}) for number in range(count)]


def make(hs: hubspot.Client, name: str = "Loyal", processing: str = "MANUAL") -> Any:
    body = ListCreateRequest(name=name, object_type_id="0-1", processing_type=processing)
    return hs.crm.lists.lists_api.create(body).list


def change(hs: hubspot.Client, list_id: str, add: list[str], remove: list[str]) -> Any:
    body = MembershipChangeRequest(record_ids_to_add=add, record_ids_to_remove=remove)
    return hs.crm.lists.memberships_api.add_and_remove(list_id, body)


def test_a_list_is_made_found_deleted_and_restored(hs: hubspot.Client) -> None:
    made, api = make(hs), hs.crm.lists.lists_api
    assert (made.processing_type, made.object_type_id, made.size) == ("MANUAL", "0-1", 0)
    assert api.get_by_id(made.list_id).list.name == api.get_by_name("Loyal", "0-1").list.name == "Loyal"
    api.remove(made.list_id)
    with pytest.raises(NotFoundException):
        api.get_by_id(made.list_id)
    with pytest.raises(NotFoundException):
        change(hs, made.list_id, ["1"], [])
    api.restore(made.list_id)
    assert api.get_by_id(made.list_id).list.list_id == made.list_id
    with pytest.raises(ListError):
        make(hs)


def test_members_are_added_and_removed(hs: hubspot.Client, sandbox: Sandbox) -> None:
    one, two, three = contacts(sandbox, 3)
    made, api = make(hs), hs.crm.lists.memberships_api
    first = change(hs, made.list_id, [one, two, "77"], [])
    told = (first.records_ids_added, first.record_ids_removed, first.record_ids_missing)
    assert told == ([one, two], [], ["77"])
    second = change(hs, made.list_id, [two, three], [one, three])
    assert (second.records_ids_added, second.record_ids_removed) == ([three], [one])
    assert [row.record_id for row in api.get_page(made.list_id).results] == [two, three]
    assert api.get_page(made.list_id, limit=1).paging.next.after == "1"
    sandbox.remove("hubspot", "contacts", two)
    assert [row.record_id for row in api.get_page(made.list_id).results] == [three], "an archived record leaves"
    assert api.add(made.list_id, [one]).records_ids_added == [one]
    assert api.remove(made.list_id, [one, one]).record_ids_removed == [one]
    api.remove_all(made.list_id)
    assert api.get_page(made.list_id).results == []


def test_an_active_list_is_not_written_to(hs: hubspot.Client, sandbox: Sandbox) -> None:
    [one] = contacts(sandbox, 1)
    with pytest.raises(ListError) as caught:
        change(hs, make(hs, processing="DYNAMIC").list_id, [one], [])
    assert caught.value.status == 400


def associate(hs: hubspot.Client, *pairs: tuple[str, str], to: str = "companies") -> Any:
    rows = [{"from": {"id": one}, "to": {"id": other}} for one, other in pairs]
    body = BatchInputPublicDefaultAssociationMultiPost(inputs=rows)
    return hs.crm.associations.v4.batch_api.create_default("contacts", to, body)


def associated(hs: hubspot.Client, *ids: str, kinds: tuple[str, str] = ("contacts", "companies")) -> Any:
    body = BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": each} for each in ids])
    return hs.crm.associations.v4.batch_api.get_page(*kinds, body)


def test_associations_are_made_read_and_ended(hs: hubspot.Client, sandbox: Sandbox) -> None:
    one, two = contacts(sandbox, 2)
    acme = sandbox.add("hubspot", "companies", {"name": "Acme"})
    made = associate(hs, (one, acme))
    assert (one, acme) in {(each._from.id, each.to.id) for each in made.results}
    assert {each.association_spec.association_type_id for each in made.results} == {279, 280}
    associate(hs, (one, acme))
    held = associated(hs, one, two)
    assert [(each._from.id, [to.to_object_id for to in each.to]) for each in held.results] == [(one, [acme])]
    assert [error.context for error in held.errors] == [{"fromObjectId": [two]}]
    [back] = associated(hs, acme, kinds=("companies", "contacts")).results
    assert [to.to_object_id for to in back.to] == [one]
    end = BatchInputPublicAssociationMultiArchive(inputs=[{"from": {"id": one}, "to": [{"id": acme}]}])
    hs.crm.associations.v4.batch_api.archive("contacts", "companies", end)
    assert associated(hs, one).results == []


def test_an_unknown_record_refuses_the_request(hs: hubspot.Client, sandbox: Sandbox) -> None:
    [one] = contacts(sandbox, 1)
    with pytest.raises(AssociationError) as caught:
        associate(hs, (one, "77"))
    assert (caught.value.status, "COMPANY=77 is not valid" in caught.value.body) == (400, True)
    with pytest.raises(AssociationError):
        associate(hs, (one, one), to="gadgets")


def test_a_missing_scope_is_named(hs: hubspot.Client, sandbox: Sandbox) -> None:
    made = make(hs)
    sandbox.settings.change({"hubspot_missing_scope": "crm.lists.write"})
    assert hs.crm.lists.lists_api.get_by_id(made.list_id).list.name == "Loyal"
    with pytest.raises(ListError) as caught:
        change(hs, made.list_id, ["1"], [])
    assert (caught.value.status, "crm.lists.write" in caught.value.body) == (403, True)
