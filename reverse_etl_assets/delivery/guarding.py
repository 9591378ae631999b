"""What an error that a destination must not raise says of its call: nothing went out, or nobody can know."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx

from reverse_etl_assets.accounts.transport import watched
from reverse_etl_assets.accounts.waiting import Halted
from reverse_etl_assets.errors import ContractViolation, GarbledAnswer, ReverseEtlError, Unsendable

T = TypeVar("T")


async def guarded(call: Awaitable[T], name: str) -> T:
    """The call's result. `name` is the destination's.

    An error of its code is Unsendable if nothing went out before it, and else a GarbledAnswer.
    """
    with watched() as sent:
        try:
            return await call
        except ContractViolation as error:
            if sent.writes == 0:
                raise
            raise GarbledAnswer(str(error)) from error
        except (ReverseEtlError, Halted):
            raise
        except Exception as error:
            message = str(error) if isinstance(error, httpx.InvalidURL) else type(error).__name__
            if sent.calls == 0:
                raise Unsendable(f"{name} cannot make a request of it: {message}") from error
            raise GarbledAnswer(f"{name} failed with {message} at an answer", perhaps_done=sent.writes > 0) from error


Same = Callable[[str, Any, Any], bool]


def comparing(same: Same, name: str) -> Same:
    """A destination's `same`, that raises a GarbledAnswer for a value that it cannot compare."""

    def guarded_same(field: str, sent: Any, held: Any) -> bool:
        try:
            return same(field, sent, held)
        except Exception as error:
            message = f"{name} failed with {type(error).__name__} at what the record holds in `{field}`"
            raise GarbledAnswer(message, perhaps_done=False) from error

    return guarded_same
