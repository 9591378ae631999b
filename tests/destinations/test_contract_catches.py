"""The contract suite is worth something only if destinations with a flaw do not pass it."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import HttpDestination
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import Ambiguous, CheckFailed, DestinationError, RetryLater
from reverse_etl_assets.records import Batch, Operation, Outcome, Status
from reverse_etl_assets.sandbox.server import Sandbox
from tests.destinations import test_contract


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
            yield Outcome(result["objectWriteTraceId"], Status.UPDATED)


class LeavesNullsOut(HubSpot):
    def _properties(self, record: Any) -> dict[str, str]:
        return {name: value for name, value in super()._properties(record).items() if value}


class SendsFloats(HubSpot):
    def _properties(self, record: Any) -> dict[str, str]:
        numbers = {name: str(float(value)) for name, value in record.fields.items() if name == "lifetime_value"}
        return super()._properties(record) | numbers


class LosesAccents(HubSpot):
    def _properties(self, record: Any) -> dict[str, str]:
        return {name: value.encode("ascii", "replace").decode() for name, value in super()._properties(record).items()}


class DropsTheZone(HubSpot):
    def _properties(self, record: Any) -> dict[str, str]:
        return super()._properties(record) | {
            name: value[:19] + "Z" for name, value in record.fields.items() if name == "trial_ends_at"
        }


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
    ],
)
def test_a_flaw_is_found(sandbox: Sandbox, flawed: type[HttpDestination[Any, Any]], test: str) -> None:
    suite = type("Suite", (test_contract.TestHubSpot,), {"destination": flawed})()
    with pytest.raises((AssertionError, DestinationError)):
        getattr(suite, test)(sandbox)
