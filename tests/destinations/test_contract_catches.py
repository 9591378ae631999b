"""The contract suite is worth something only if destinations with a flaw do not pass it."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import NOTHING_KNOWN, HttpDestination
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.errors import Ambiguous, CheckFailed, DestinationError, RetryLater
from reverse_etl_assets.records import Batch, Current, Operation, Outcome, Quota, Status
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import test_contract
from tests.limited import limited


class TakesEvery2xxForSuccess(HubSpot):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        for record in batch.records:
            yield Outcome(record.key, Status.UPDATED, inferred=True)


class NeverSaysCreated(HubSpot):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        for outcome in super().read_response(batch, response):
            yield Outcome(outcome.key, Status.UPDATED, outcome.reason, outcome.error, outcome.destination_id)


class AnswersTwice(HubSpot):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        yield from super().read_response(batch, response)
        yield from super().read_response(batch, response)


class NamesRowsByItsOwnNumbers(HubSpot):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        for number, outcome in enumerate(super().read_response(batch, response)):
            yield Outcome(str(number), outcome.status)


class TrustsTheNamesInTheAnswer(HubSpot):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        for result in response.json()["results"]:
            yield Outcome(result["properties"][self.target.external_id], Status.UPDATED)


class ChangesWhatItSends(HubSpot):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        right = self._object._properties  # type: ignore[attr-defined]
        setattr(self._object, "_properties", lambda record: self.change(record, right(record)))  # noqa: B010

    def change(self, record: Any, properties: dict[str, str]) -> dict[str, str]:
        raise NotImplementedError


class LeavesNullsOut(ChangesWhatItSends):
    def change(self, record: Any, properties: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in properties.items() if value}


class SendsFloats(ChangesWhatItSends):
    def change(self, record: Any, properties: dict[str, str]) -> dict[str, str]:
        numbers = {name: str(float(value)) for name, value in record.fields.items() if name == "lifetime_value"}
        return properties | numbers


class LosesAccents(ChangesWhatItSends):
    def change(self, record: Any, properties: dict[str, str]) -> dict[str, str]:
        return {name: value.encode("ascii", "replace").decode() for name, value in properties.items()}


class DropsTheZone(ChangesWhatItSends):
    def change(self, record: Any, properties: dict[str, str]) -> dict[str, str]:
        return properties | {name: value[:19] + "Z" for name, value in record.fields.items() if name == "trial_ends_at"}


class PromisesTooManyRows(HubSpot):
    @classmethod
    def capabilities_for(cls, target: Any, options: Any) -> Any:
        return replace(super().capabilities_for(target, options), max_rows=101, fold_case=False)


class IsNotPure(HubSpot):
    def build_request(self, batch: Batch) -> httpx.Request:
        request = super().build_request(batch)
        request.headers["X-Request-Id"] = uuid.uuid4().hex
        return request


class RetriesLostAnswers(HubSpot):
    async def exchange(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().exchange(request)
        except Ambiguous as error:
            raise RetryLater(str(error)) from error


class ForgetsRetryAfter(HubSpot):
    def error_for(self, response: httpx.Response) -> DestinationError:
        error = super().error_for(response)
        return RetryLater(str(error)) if isinstance(error, RetryLater) else error


class CarriesOnWithoutAToken(HubSpot):
    def error_for(self, response: httpx.Response) -> DestinationError:
        return RetryLater("later")


class ShowsItsToken(HubSpot):
    def __repr__(self) -> str:
        return f"HubSpot({self.connection.access_token.get_secret_value()})"


class ChecksNothing(HubSpot):
    async def check(self) -> None:
        return


class StopsAtTheFirstProblem(HubSpot):
    async def check(self) -> None:
        try:
            await super().check()
        except CheckFailed as error:
            raise CheckFailed(error.problems[:1]) from error


class ForgetsToDelete(HubSpot):
    def build_request(self, batch: Batch) -> httpx.Request:
        request = super().build_request(batch)
        if batch.operation is Operation.DELETE:
            return self.client.build_request("POST", request.url, json={"inputs": []})
        return request


class FindsTheFirstOnly(HubSpot):
    async def find(self, external_ids: Any) -> Any:
        found = await super().find(external_ids)
        return {key: ids for key, ids in found.items() if ids}


class FillsGaps(ChangesWhatItSends):
    def change(self, record: Any, properties: dict[str, str]) -> dict[str, str]:
        return dict.fromkeys(self.target.fields, "") | properties


class TakesGoneForUpdated(HubSpot):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        for outcome in super().read_response(batch, response):
            yield replace(outcome, status=Status.UPDATED, reason=None)


class CountsWhatIsLeft(HubSpot):
    @classmethod
    def quota(cls, response: httpx.Response) -> Quota | None:
        return Quota(int(response.headers.get("X-HubSpot-RateLimit-Daily-Remaining", -1)) + 10, 0)


class ChangesWhatItReads(HubSpot):
    async def read_records(self, external_ids: Any, known: Any = NOTHING_KNOWN) -> Any:
        found = await super().read_records(external_ids, known)
        return {key: [self.change(held) for held in several] for key, several in found.items()}

    def change(self, held: Current) -> Current:
        raise NotImplementedError


class ReadsFloats(ChangesWhatItReads):
    def change(self, held: Current) -> Current:
        value = held.fields["lifetime_value"]
        return replace(held, fields={**held.fields, "lifetime_value": value and str(float(value))})


class ReadsTimesForPeople(ChangesWhatItReads):
    def change(self, held: Current) -> Current:
        value = held.fields["trial_ends_at"]
        return replace(held, fields={**held.fields, "trial_ends_at": value and value[:16].replace("T", " ")})


class ReadsEmptyText(ChangesWhatItReads):
    def change(self, held: Current) -> Current:
        return replace(held, fields={name: value or "" for name, value in held.fields.items()})


class LeavesOutWhatIsEmpty(ChangesWhatItReads):
    def change(self, held: Current) -> Current:
        return replace(held, fields={name: value for name, value in held.fields.items() if value})


class MistakesFields(ChangesWhatItReads):
    def change(self, held: Current) -> Current:
        return replace(held, fields={**held.fields, "segment": held.fields["interests"]})


class MistakesRecords(ChangesWhatItReads):
    def change(self, held: Current) -> Current:
        return replace(held, destination_id=held.destination_id[::-1])


class TellsTimesWithoutAZone(ChangesWhatItReads):
    def change(self, held: Current) -> Current:
        return replace(held, changed_at=held.changed_at and held.changed_at.replace(tzinfo=None))


class KnowsNobodyWhoIsAbsent(HubSpot):
    async def read_records(self, external_ids: Any, known: Any = NOTHING_KNOWN) -> Any:
        return {key: held for key, held in (await super().read_records(external_ids, known)).items() if held}


class FindsOnlyTheSameCase(HubSpot):
    async def read_records(self, external_ids: Any, known: Any = NOTHING_KNOWN) -> Any:
        found = await super().read_records(external_ids, known)
        return {key: held if key.islower() else [] for key, held in found.items()}


class ReadsTheFirstOfSeveral(Salesforce):
    async def read_records(self, external_ids: Any, known: Any = NOTHING_KNOWN) -> Any:
        return {key: held[:1] for key, held in (await super().read_records(external_ids, known)).items()}


PromisesLongReads = limited(HubSpot, read_limit=101)


class TakesSilenceForAbsence(HubSpot):
    async def read_records(self, external_ids: Any, known: Any = NOTHING_KNOWN) -> Any:
        try:
            return await super().read_records(external_ids, known)
        except RetryLater:
            return {key: [] for key in external_ids}


class WritesWhileItReads(HubSpot):
    async def read_records(self, external_ids: Any, known: Any = NOTHING_KNOWN) -> Any:
        found = await super().read_records(external_ids, known)
        inputs = [{"id": held.destination_id, "properties": {"city": "x"}} for each in found.values() for held in each]
        await self.exchange(self._api.request("POST", "/crm/v3/objects/contacts/batch/update", {"inputs": inputs}))
        return found


class ComparesToTheLetter(HubSpot):
    def same(self, field: str, sent: Any, held: Any) -> bool:
        return bool(sent == held)


class ComparesWithoutZones(HubSpot):
    def same(self, field: str, sent: Any, held: Any) -> bool:
        if field == "trial_ends_at" and sent and held:
            return bool(sent[:19] == held[:19])
        return super().same(field, sent, held)


class ForgivesEverything(HubSpot):
    def same(self, field: str, sent: Any, held: Any) -> bool:
        return True


class TakesNoValueForAnyValue(HubSpot):
    def same(self, field: str, sent: Any, held: Any) -> bool:
        return sent is None or held is None or super().same(field, sent, held)


@pytest.mark.parametrize(
    ("flawed", "test"),
    [
        (TakesEvery2xxForSuccess, "test_a_bad_row_fails_alone"),
        (TakesEvery2xxForSuccess, "test_an_answer_that_names_nobody_is_no_success"),
        (TakesEvery2xxForSuccess, "test_a_broken_answer_is_no_success"),
        (NeverSaysCreated, "test_created_and_then_updated_or_marked_inferred"),
        (AnswersTwice, "test_every_record_gets_one_outcome"),
        (NamesRowsByItsOwnNumbers, "test_every_record_gets_one_outcome"),
        (TrustsTheNamesInTheAnswer, "test_outcomes_name_only_rows_of_the_batch"),
        (LeavesNullsOut, "test_null_clears_a_field"),
        (SendsFloats, "test_a_decimal_keeps_every_digit_in_the_request"),
        (LosesAccents, "test_text_arrives_as_it_is"),
        (DropsTheZone, "test_a_time_arrives_as_the_same_moment"),
        (PromisesTooManyRows, "test_a_full_batch_is_taken"),
        (PromisesTooManyRows, "test_keys_fold_as_the_capabilities_say"),
        (IsNotPure, "test_building_a_request_is_pure"),
        (RetriesLostAnswers, "test_a_lost_answer_is_ambiguous_and_sending_again_does_no_harm"),
        (RetriesLostAnswers, "test_a_server_error_is_ambiguous"),
        (ForgetsRetryAfter, "test_a_rate_limit_holds_for_the_time_it_names"),
        (CarriesOnWithoutAToken, "test_an_expired_token_is_renewed_or_stops_the_run"),
        (CarriesOnWithoutAToken, "test_a_refused_token_stops_the_run"),
        (ShowsItsToken, "test_no_secret_is_shown"),
        (ChecksNothing, "test_check_names_everything_that_is_wrong_at_once"),
        (ChecksNothing, "test_check_refuses_values_that_do_not_fit"),
        (ChecksNothing, "test_check_names_an_unknown_object"),
        (StopsAtTheFirstProblem, "test_check_names_everything_that_is_wrong_at_once"),
        (ForgetsToDelete, "test_a_delete_removes_and_a_second_one_does_no_harm"),
        (FindsTheFirstOnly, "test_found_ids_are_those_of_the_records"),
        (FillsGaps, "test_a_partial_write_leaves_the_other_fields_alone"),
        (TakesGoneForUpdated, "test_an_update_of_a_record_that_is_gone_is_skipped"),
        (CountsWhatIsLeft, "test_what_is_told_of_the_quota_makes_sense"),
        (ReadsFloats, "test_what_was_read_can_be_written_back"),
        (ReadsTimesForPeople, "test_what_was_read_can_be_written_back"),
        (ReadsEmptyText, "test_a_field_without_a_value_is_none"),
        (LeavesOutWhatIsEmpty, "test_a_field_without_a_value_is_none"),
        (LeavesOutWhatIsEmpty, "test_what_had_no_value_can_be_written_back"),
        (MistakesFields, "test_what_was_written_is_read"),
        (MistakesRecords, "test_what_was_written_is_read"),
        (TellsTimesWithoutAZone, "test_the_time_of_a_change_is_in_utc_and_does_not_go_back"),
        (KnowsNobodyWhoIsAbsent, "test_a_record_that_is_not_there_is_none"),
        (FindsOnlyTheSameCase, "test_a_key_is_told_as_it_was_asked"),
        (ReadsTheFirstOfSeveral, "test_all_records_of_a_key_are_told"),
        (PromisesLongReads, "test_more_records_than_one_read_takes"),
        (TakesSilenceForAbsence, "test_an_answer_that_says_nothing_is_no_absence"),
        (WritesWhileItReads, "test_reading_changes_nothing"),
        (ComparesToTheLetter, "test_same_tells_values_apart"),
        (ComparesToTheLetter, "test_same_forgives_what_cannot_be_held"),
        (ComparesWithoutZones, "test_same_forgives_what_cannot_be_held"),
        (ForgivesEverything, "test_same_tells_values_apart"),
        (TakesNoValueForAnyValue, "test_same_tells_values_apart"),
    ],
)
def test_a_flaw_is_found(sandbox: Sandbox, flawed: type[HttpDestination[Any, Any]], test: str) -> None:
    whole = test_contract.TestSalesforce if issubclass(flawed, Salesforce) else test_contract.TestHubSpot
    suite = type("Suite", (whole,), {"destination": flawed})()
    with pytest.raises((AssertionError, DestinationError)):
        getattr(suite, test)(sandbox)
