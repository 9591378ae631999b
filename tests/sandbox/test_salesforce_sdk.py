"""simple-salesforce, the SDK most Python code uses, against the sandbox."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from reverse_etl_sandbox import Sandbox

from .conftest import Clock


def test_upsert_creates_then_updates(sf: Salesforce, sandbox: Sandbox) -> None:
    assert sf.Contact.upsert("External_Id__c/c1", {"LastName": "Lovelace"}) == 201
    assert sf.Contact.upsert("External_Id__c/c1", {"LastName": "Byron"}) == 200
    found = sf.Contact.get_by_custom_id("External_Id__c", "c1")
    assert found["LastName"] == "Byron"
    assert sandbox.salesforce.tables["Contact"].counters.created == 1


def test_an_external_id_with_a_slash_is_one_path_segment(sf: Salesforce) -> None:
    sf.Contact.upsert("External_Id__c/a%2Fb", {"LastName": "Slash"})
    assert sf.query("SELECT External_Id__c FROM Contact")["records"][0]["External_Id__c"] == "a/b"


def test_create_read_update_delete(sf: Salesforce) -> None:
    made = sf.Account.create({"Name": "Acme", "AnnualRevenue": 12.5})
    assert made["success"] is True
    assert made["errors"] == []
    assert len(made["id"]) == 18
    assert sf.Account.update(made["id"], {"AnnualRevenue": 99}) == 204
    assert sf.Account.get(made["id"])["AnnualRevenue"] == 99.0
    assert sf.Account.get(made["id"][:15])["Id"] == made["id"]
    assert sf.Account.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound, match="ENTITY_IS_DELETED"):
        sf.Account.get(made["id"])


def test_a_refused_record_is_a_malformed_request(sf: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.Contact.create({"FirstName": "Ada"})
    assert caught.value.content == [
        {
            "message": "Required fields are missing: [LastName]",
            "errorCode": "REQUIRED_FIELD_MISSING",
            "fields": ["LastName"],
        }
    ]


def test_a_key_that_matches_two_records_is_300(sf: Salesforce) -> None:
    for _ in range(2):
        sf.Contact.create({"LastName": "Twin", "Email": "twin@example.com"})
    with pytest.raises(SalesforceMoreThanOneRecord) as caught:
        sf.Contact.upsert("Email/twin@example.com", {"LastName": "X"})
    assert [url.rpartition("/")[0] for url in caught.value.content] == ["/services/data/v60.0/sobjects/Contact"] * 2


def test_an_unknown_external_id_field_is_404(sf: Salesforce) -> None:
    with pytest.raises(SalesforceResourceNotFound, match="external ID field does not exist"):
        sf.Contact.upsert("FirstName/x", {"LastName": "X"})


def test_the_key_must_not_be_in_the_body_of_a_single_upsert(sf: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="should not be specified"):
        sf.Contact.upsert("External_Id__c/1", {"LastName": "X", "External_Id__c": "1"})


def test_describe(sf: Salesforce) -> None:
    told = sf.Contact.describe()
    fields = {field["name"]: field for field in told["fields"]}
    assert told["keyPrefix"] == "003"
    assert fields["External_Id__c"]["externalId"] is True
    assert fields["External_Id__c"]["unique"] is True
    assert fields["Email"]["idLookup"] is True
    assert fields["Greeting__c"]["calculated"] is True
    assert fields["CreatedDate"]["createable"] is False
    required = {n for n, f in fields.items() if f["createable"] and not f["nillable"] and not f["defaultedOnCreate"]}
    assert required == {"LastName"}
    assert [value["value"] for value in fields["Segment__c"]["picklistValues"]][:2] == ["champion", "loyal"]
    names = {listed["name"] for listed in sf.describe()["sobjects"]}
    assert names == {"Contact", "Account", "Lead", "Opportunity", "Product_Usage__c"}


def test_limits(sf: Salesforce) -> None:
    sf.query("SELECT Id FROM Lead")
    assert sf.limits()["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_998}
    assert sf.api_usage["api-usage"].used == 2


def test_query_pages_at_2000(sf: Salesforce, sandbox: Sandbox) -> None:
    table = sandbox.salesforce.tables["Lead"]
    for number in range(4_100):
        table.insert({"LastName": f"L{number}", "Company": "C", "External_Id__c": str(number)}, 1.0)
    first = sf.query("SELECT External_Id__c FROM Lead")
    assert (first["totalSize"], first["done"], len(first["records"])) == (4_100, False, 2_000)
    rows = sf.query_all("SELECT External_Id__c FROM Lead")["records"]
    assert len({row["External_Id__c"] for row in rows}) == 4_100


def test_query_of_a_wrong_field(sf: Salesforce) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Nope__c' on entity 'Contact'"):
        sf.query("SELECT Nope__c FROM Contact")


def test_query_all_shows_deleted_records(sf: Salesforce) -> None:
    made = sf.Account.create({"Name": "Gone"})
    sf.Account.delete(made["id"])
    assert sf.query("SELECT Id FROM Account")["totalSize"] == 0
    deleted = sf.query_all("SELECT Id, IsDeleted FROM Account", include_deleted=True)["records"]
    assert [(row["Id"], row["IsDeleted"]) for row in deleted] == [(made["id"], True)]


def test_query_reads_parents(sf: Salesforce, sandbox: Sandbox) -> None:
    acme = sf.Account.create({"Name": "Acme", "External_Id__c": "acme"})["id"]
    sf.Contact.create({"LastName": "A", "AccountId": acme})
    sf.Contact.create({"LastName": "B"})
    soql = "SELECT LastName, Account.External_Id__c, Account.Name, AccountId FROM Contact ORDER BY LastName"
    first, second = sf.query_all(soql)["records"]
    assert dict(first["Account"]) == {
        "attributes": {"type": "Account", "url": f"/services/data/v60.0/sobjects/Account/{acme}"},
        "External_Id__c": "acme",
        "Name": "Acme",
    }
    assert (first["AccountId"], second["Account"], second["AccountId"]) == (acme, None, None)
    for wrong, said in (("Acount.Name", "understand relationship 'Acount'"), ("Account.Nope", "No such column 'Nope'")):
        with pytest.raises(SalesforceMalformedRequest, match=said):
            sf.query(f"SELECT {wrong} FROM Contact")
    with pytest.raises(SalesforceMalformedRequest, match="duplicate field selected"):
        sf.query("SELECT Id, LastName, id FROM Contact")


def test_every_write_moves_the_times_of_change(sf: Salesforce, sandbox: Sandbox, clock: Clock) -> None:
    made = sf.Contact.create({"LastName": "A"})["id"]

    def times() -> set[str]:
        [row] = sf.query(f"SELECT LastModifiedDate, SystemModstamp FROM Contact WHERE Id = '{made}'")["records"]
        return {row["LastModifiedDate"], row["SystemModstamp"]}

    seen = [times()]
    for write in (
        lambda: sf.Contact.update(made, {"LastName": "B"}),
        lambda: sandbox.edit("salesforce", "Contact", made, {"LastName": "C"}),
    ):
        clock.now += 2.5
        write()
        seen.append(times())
    assert [len(both) for both in seen] == [1, 1, 1]
    assert len({min(both) for both in seen}) == 3
    assert all(min(both).endswith(".000+0000") for both in seen)


def test_values_as_salesforce_keeps_them(sf: Salesforce) -> None:
    given = {
        "LastName": "  Ray ",
        "Department": "   ",
        "Interests__c": "tea;coffee;tea",
        "Call_Me_At__c": "10:30:00",
        "Trial_Ends_At__c": "2026-01-31T12:00:00.987Z",
        "Churn_Risk__c": 0.123456,
    }
    held = sf.Contact.get(sf.Contact.create(given)["id"])
    assert {name: held[name] for name in given} == {
        "LastName": "Ray",
        "Department": None,
        "Interests__c": "coffee;tea",
        "Call_Me_At__c": "10:30:00.000Z",
        "Trial_Ends_At__c": "2026-01-31T12:00:00.000+0000",
        "Churn_Risk__c": 0.123456,
    }
    for wrong in ({"Interests__c": "tea;gin"}, {"Call_Me_At__c": "25:00:00Z"}, {"Call_Me_At__c": "noon"}):
        with pytest.raises(SalesforceMalformedRequest):
            sf.Contact.create({"LastName": "A"} | wrong)


def test_writing_a_deleted_record(sf: Salesforce, sandbox: Sandbox) -> None:
    made = sf.Contact.create({"LastName": "A"})["id"]
    sandbox.remove("salesforce", "Contact", made)
    with pytest.raises(SalesforceResourceNotFound, match="ENTITY_IS_DELETED"):
        sf.Contact.update(made, {"LastName": "B"})
    path, row = "composite/sobjects", {"attributes": {"type": "Contact"}, "id": made, "LastName": "B"}
    [result] = sf.restful(path, method="PATCH", json={"records": [row]})
    assert (result["success"], result["errors"][0]["statusCode"]) == (False, "ENTITY_IS_DELETED")


def test_other_tools_use_the_allowance_too(sf: Salesforce, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_daily_requests": 10, "salesforce_other_requests": 8})
    sf.query("SELECT Id FROM Contact")
    assert (sf.api_usage["api-usage"].used, sf.api_usage["api-usage"].total) == (9, 10)
    sf.query("SELECT Id FROM Contact")
    with pytest.raises(SalesforceRefusedRequest, match="REQUEST_LIMIT_EXCEEDED"):
        sf.query("SELECT Id FROM Contact")


def test_an_expired_session(sf: Salesforce, sandbox: Sandbox) -> None:
    sandbox.fault("expire_token", vendor="salesforce", next=1)
    for _ in range(2):
        with pytest.raises(SalesforceExpiredSession, match="INVALID_SESSION_ID"):
            sf.query("SELECT Id FROM Contact")


def test_the_daily_limit(sf: Salesforce, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_daily_requests": 1})
    sf.query("SELECT Id FROM Contact")
    with pytest.raises(SalesforceRefusedRequest, match=r"TotalRequests Limit exceeded\."):
        sf.query("SELECT Id FROM Contact")


def bulk_rows(sf: Salesforce, kind: str, job: dict[str, Any], which: str) -> list[dict[str, str]]:
    text = getattr(getattr(sf.bulk2, kind), f"get_{which}_records")(job["job_id"])
    return list(csv.DictReader(io.StringIO(text)))


def test_bulk_upsert(sf: Salesforce, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_bulk_polls": 0})
    sf.Contact.upsert("External_Id__c/c0", {"LastName": "Old", "Phone": "1"})
    rows = [{"External_Id__c": f"c{n}", "LastName": f"N{n}", "Email": f"N{n}@Example.com"} for n in range(50)]
    rows[7]["Email"] = "not an address"
    job = sf.bulk2.Contact.upsert(records=rows, external_id_field="External_Id__c", wait=0)[0]
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (50, 1)
    good = bulk_rows(sf, "Contact", job, "successful")
    assert {row["External_Id__c"]: row["sf__Created"] for row in good if row["External_Id__c"] in ("c0", "c1")} == {
        "c0": "false",
        "c1": "true",
    }
    assert [row["External_Id__c"] for row in good] != [f"c{n}" for n in range(50) if n != 7]
    bad = bulk_rows(sf, "Contact", job, "failed")
    assert [(row["sf__Id"], row["sf__Error"]) for row in bad] == [
        ("", "INVALID_EMAIL_ADDRESS:Email: invalid email address: not an address:Email --")
    ]
    kept = sf.Contact.get_by_custom_id("External_Id__c", "c0")
    assert (kept["Phone"], kept["Email"]) == ("1", "n0@example.com")


def test_bulk_insert_update_and_delete(sf: Salesforce, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_bulk_polls": 0})
    made = sf.bulk2.Account.insert(records=[{"Name": "A"}, {"Name": "B"}], wait=0)[0]
    ids = {row["Name"]: row["sf__Id"] for row in bulk_rows(sf, "Account", made, "successful")}
    sf.bulk2.Account.update(records=[{"Id": ids["A"], "Name": "AA"}], wait=0)
    sf.bulk2.Account.delete(records=[{"Id": ids["B"]}], wait=0)
    assert [row["Name"] for row in sf.query("SELECT Name FROM Account")["records"]] == ["AA"]


def test_a_bulk_job_with_an_unknown_column_fails(sf: Salesforce, sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_bulk_polls": 0})
    with pytest.raises(Exception, match="InvalidBatch : Field name not found : Nope__c"):
        sf.bulk2.Contact.upsert(
            records=[{"External_Id__c": "1", "LastName": "X", "Nope__c": "1"}],
            external_id_field="External_Id__c",
            wait=0,
        )
    assert sf.query("SELECT COUNT() FROM Contact")["totalSize"] == 0
