"""Faults to switch on: what real networks and vendors do now and then."""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Kind = Literal[
    "rate_limit",
    "server_error",
    "expire_token",
    "slow",
    "drop_before",
    "drop_after",
    "timeout_after",
    "malformed",
    "empty",
    "garbled",
    "refuse_rows",
    "lock_rows",
    "omit_rows",
    "lose_writes",
]
KINDS: tuple[str, ...] = get_args(Kind)
ROW_KINDS = frozenset({"refuse_rows", "lock_rows", "omit_rows", "lose_writes"})


def row_is_hit(key: object, seed: int, percent: float) -> bool:
    """Whether a row fault of this seed and percentage hits the row with this key (case ignored)."""
    text = f"{seed}:{str(key).casefold()}"
    return zlib.crc32(text.encode()) % 10_000 < percent * 100


@dataclass(slots=True)
class Fault:
    """One fault.

    ``kind`` is one of ``KINDS``:

    - ``rate_limit``: the vendor's "too many requests" (``retry_after`` seconds adds the header,
      ``daily`` takes the daily limit's wording);
    - ``server_error``: ``status`` (default 503) without a write; with ``written`` after it, as a proxy answers whose
      server took too long;
    - ``expire_token``: every token issued so far ends; Salesforce then answers 401 until a new one is asked for;
    - ``slow``: answers after ``delay_ms``;
    - ``drop_before``, ``drop_after``: closes the connection without an answer, before or after the write;
    - ``timeout_after``: writes, then holds the answer until the client gives up, at most ``hold_seconds``,
      and closes the connection;
    - ``malformed``: writes, then sends half of the JSON; ``empty``: writes, then sends 200 without a body;
      ``garbled``: writes, then sends a body that says it is compressed and is not;
    - ``refuse_rows``: refuses ``percent`` of the rows with a validation error of the vendor, chosen by
      ``row_is_hit``;
    - ``lock_rows``: Salesforce's UNABLE_TO_LOCK_ROW on ``percent`` of the rows, once a row, or ``for_good``;
    - ``omit_rows``: writes ``percent`` of the rows of a batch but leaves them out of the answer;
    - ``lose_writes``: answers that ``percent`` of the rows of a batch are written (or deleted), and keeps nothing
      of it.

    The key of a row is the id or external id that the request gives.

    Which requests: those of ``vendor`` (empty: all) whose path below the vendor's base contains a match of the
    regular expression ``path`` and whose method is ``method`` (empty: any); of these the first ``skip`` are
    spared; then the ``next`` ones are hit, or each with ``probability`` drawn from ``seed``, or all. Requests that
    need no token (for one) are hit only by a fault with a ``path``.
    """

    kind: str
    vendor: str = ""
    path: str = ""
    method: str = ""
    next: int | None = None
    skip: int = 0
    probability: float | None = None
    seed: int = 0
    status: int = 503
    retry_after: int | None = None
    written: bool = False
    daily: bool = False
    delay_ms: float = 1_000.0
    hold_seconds: float = 30.0
    percent: float = 0.0
    for_good: bool = False
    hits: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)
    _locked: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault kind {self.kind!r} is unknown; kinds are {', '.join(KINDS)}")
        if self.kind in ROW_KINDS and not 0 < self.percent <= 100:
            raise ValueError(f"fault {self.kind!r} needs percent above 0 and at most 100, got {self.percent}")
        if self.next is not None and self.probability is not None:
            raise ValueError("a fault takes next or probability, not both")
        re.compile(self.path)
        self._random.seed(self.seed)

    def matches(self, vendor: str, method: str, path: str) -> bool:
        return (
            self.vendor in ("", vendor)
            and self.method in ("", method)
            and (not self.path or re.search(self.path, path) is not None)
        )

    def fires(self) -> bool:
        """Whether this request, which matches, is hit."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.next is not None:
            if self.next <= 0:
                return False
            self.next -= 1
        elif self.probability is not None and self._random.random() >= self.probability:
            return False
        return True

    def hits_row(self, key: object) -> bool:
        """Whether a row fault hits this row. ``lock_rows`` lets the second try pass, but for ``for_good``."""
        if not row_is_hit(key, self.seed, self.percent):
            return False
        if self.kind == "lock_rows" and not self.for_good:
            folded = str(key).casefold()
            if folded in self._locked:
                return False
            self._locked.add(folded)
        self.hits += 1
        return True

    def spent(self) -> bool:
        return self.next is not None and self.next <= 0

    def describe(self) -> dict[str, Any]:
        default = Fault("slow")
        said = {part.name: getattr(self, part.name) for part in fields(self) if not part.name.startswith("_")}
        return {n: v for n, v in said.items() if n in ("kind", "hits") or v != getattr(default, n)}


def omitted(faults: list[Fault], key: object) -> bool:
    """Whether the answer leaves out the row with this key."""
    return any(fault.kind == "omit_rows" and fault.hits_row(key) for fault in faults)


def lost(faults: list[Fault], key: object) -> bool:
    """Whether the answer says that the row with this key is written, though it is not."""
    return any(fault.kind == "lose_writes" and fault.hits_row(key) for fault in faults)


class FaultBook:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, kind: Kind | str, **options: Any) -> Fault:
        """Switch a fault on.

        Raises:
            ValueError: an unknown kind or option, or options that contradict each other.
        """
        unknown = {name for name in options if name.startswith("_") or name not in Fault.__slots__}
        if unknown:
            raise ValueError(f"fault option {', '.join(sorted(unknown))} is unknown")
        fault = Fault(kind, **options)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults = []

    def active(self) -> list[Fault]:
        return [fault for fault in self._faults if not fault.spent()]

    def pick(self, vendor: str, method: str, path: str, named_only: bool = False) -> Fault | None:
        """The fault that hits this request as a whole; the first one that fires wins.

        With ``named_only`` a fault must name a path.
        """
        for fault in self._faults:
            if fault.kind in ROW_KINDS or (named_only and not fault.path):
                continue
            if fault.matches(vendor, method, path) and fault.fires():
                fault.hits += 1
                return fault
        return None

    def for_rows(self, vendor: str, method: str, path: str) -> list[Fault]:
        """The row faults that apply to this request."""
        return [
            fault
            for fault in self._faults
            if fault.kind in ROW_KINDS and fault.matches(vendor, method, path) and fault.fires()
        ]
