"""Lifecycle stages, which HubSpot does not move backwards: it answers 200 and keeps the one it has.

To go back, the stage is cleared first and then set ("Contacts API", Update contacts, HubSpot developer documentation,
2026-09).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from reverse_etl_assets.destinations.hubspot.options import Lifecycle
from reverse_etl_assets.records import Outcome, Record, RowError

_STAGE = "lifecyclestage"
_KEPT = "LIFECYCLE_STAGE_KEPT"
_CLEARED = "LIFECYCLE_STAGE_CLEARED"


class Stages:
    """The stages of one run.

    With `keep` a row whose stage was kept is rejected, for HubSpot does not hold what was sent. With `move_back` it
    comes back twice, once to clear the stage and once to set it. What is to be cleared is remembered for this run
    alone: a row that is lost between the two is not acknowledged, so the next run sends it, and an empty stage takes
    any.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._move_back = lifecycle is Lifecycle.MOVE_BACK
        self._to_clear: set[str] = set()

    def clears(self, record: Record) -> dict[str, str]:
        """What is sent instead of the row's stage."""
        return {_STAGE: ""} if record.key in self._to_clear else {}

    def unmoved(self, record: Record, result: Mapping[str, Any]) -> Outcome | None:
        """The outcome of a row that was written, but for its stage."""
        sent = record.fields.get(_STAGE)
        held = (result.get("properties") or {}).get(_STAGE)
        if sent and not held and record.key in self._to_clear:
            error = RowError("its lifecycle stage is cleared, to be set anew", _CLEARED, _STAGE)
            return Outcome.rejected(record.key, error, retry=True)
        if not sent or held is None or str(sent).lower() == str(held).lower():
            return None
        message = f"HubSpot kept '{held}' and wrote the other fields: a lifecycle stage does not move backwards"
        return Outcome.rejected(record.key, RowError(message, _KEPT, _STAGE), retry=self._move_back)

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            code = outcome.error.code if outcome.error else None
            if outcome.retry and code == _KEPT:
                self._to_clear.add(outcome.key)
            elif code == _CLEARED or not outcome.retry:
                self._to_clear.discard(outcome.key)
