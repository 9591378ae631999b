"""What is sent fits the models of hubspot-api-client, which are made from HubSpot's own specification."""

import json
from typing import Any

import pytest
from hubspot.crm.associations.v4 import ApiClient as AssociationsClient
from hubspot.crm.contacts import ApiClient as ContactsClient
from hubspot.crm.lists import ApiClient as ListsClient

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.records import FieldType, Operation, Target
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

CONTACTS = target("contacts", "email", *Operation, firstname=FieldType.TEXT)
LIST = target("lists/1", "email", email=FieldType.TEXT)
PAIRS = target("associations/contacts/companies", "pair", **{"from.email": FieldType.TEXT, "to.domain": FieldType.TEXT})


class Answer:
    def __init__(self, body: bytes) -> None:
        self.data = body.decode()


@pytest.mark.parametrize(
    ("to", "operation", "client", "model"),
    [
        (CONTACTS, Operation.UPSERT, ContactsClient, "BatchInputSimplePublicObjectBatchInputUpsert"),
        (CONTACTS, Operation.INSERT, ContactsClient, "BatchInputSimplePublicObjectBatchInputForCreate"),
        (CONTACTS, Operation.UPDATE, ContactsClient, "BatchInputSimplePublicObjectBatchInput"),
        (CONTACTS, Operation.DELETE, ContactsClient, "BatchInputSimplePublicObjectId"),
        (LIST, Operation.UPSERT, ListsClient, "MembershipChangeRequest"),
        (LIST, Operation.DELETE, ListsClient, "MembershipChangeRequest"),
        (PAIRS, Operation.UPSERT, AssociationsClient, "BatchInputPublicDefaultAssociationMultiPost"),
        (PAIRS, Operation.DELETE, AssociationsClient, "BatchInputPublicAssociationMultiArchive"),
    ],
)
def test_a_body_is_what_the_model_makes_of_it(to: Target, operation: Operation, client: Any, model: str) -> None:
    """The model refuses a missing field, and drops one that it does not know."""
    row = record("a", destination_id="101:201" if to is PAIRS else "101", firstname="Ann")
    hubspot = accounts.offline(HubSpot, accounts.hubspot("https://api.example"), to)
    body = hubspot.build_request(batch(operation, row)).content
    judge = client()
    assert judge.sanitize_for_serialization(judge.deserialize(Answer(body), model)) == json.loads(body)
