"""What a vendor says at length of a whole request: personal data is taken out before the text is cut."""

from typing import ClassVar

import httpx
import pytest

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, DestinationError, RequestRejected, RetryLater
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first

LONGEST = 2_000  # characters of it that are kept
NAME = "Zoe-Maria"


class Quotes(Webhook):
    """Its refusals show a row's value just where they are cut."""

    raises: ClassVar[type[DestinationError]] = RequestRejected

    def error_for(self, response: httpx.Response) -> DestinationError:
        return self.raises("." * (LONGEST - 5) + NAME + "!" * LONGEST)


@pytest.mark.parametrize("kind", first([RequestRejected, Ambiguous, RetryLater, AuthenticationFailed]))
def test_half_a_value_is_not_left_where_words_are_cut(
    shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: type[DestinationError]
) -> None:
    monkeypatch.setattr(Quotes, "kind", kind)
    sandbox.fault("server_error", vendor="rest", status=400)
    shop.build(f"select '1' as id, '{NAME}' as name")
    shop.models["people"] = Model("people", "", "marts", "people", {}, {}, {"name": "name"})
    sync = sink_sync(allow_pii={"name": "They are greeted by it."})
    report = shop.run(sync, Account("sink", Quotes, sink(sandbox.url).connection))
    (outcome,) = shop.outcomes(sync, report.run_id)
    said = outcome.message or ""
    assert said.count(".") == LONGEST - 5
    assert NAME[:2] not in said + (report.detail or "")
    assert "***" in said
    assert len(said) == LONGEST
