"""Answers as bare as a vendor's specification allows.

With the setting ``sparse`` each part of an answer that the specification calls optional is left out, and each 2xx
status that it documents is used in turn. A client that relies on more than is promised is seen then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from reverse_etl_sandbox.wire import Answer, Call


@dataclass(frozen=True, slots=True)
class Sparse:
    """What the answers of some calls may lack.

    ``calls`` is a regular expression that is found in ``METHOD /path`` below the vendor's base. ``optional`` are parts
    of the body: ``errors.*.context.ids`` is ``ids`` of the ``context`` of each of ``errors``; ``*`` stands for every
    item of a list or every value of an object; a part that an answer has not is no fault. ``statuses`` are those that
    a success may have, taken in turn.
    """

    calls: str
    optional: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()

    def matches(self, call: Call) -> bool:
        return re.search(self.calls, f"{call.method} {call.path}") is not None


class Thinner:
    """Makes a vendor's answers sparse: every entry that matches a call takes its parts out."""

    def __init__(self, entries: Sequence[Sparse]) -> None:
        self._entries = entries
        self._turns: Counter[Sparse] = Counter()

    def thinned(self, call: Call, answer: Answer) -> Answer:
        """The answer without its optional parts. A body that is no JSON stays as it is."""
        entries = [entry for entry in self._entries if entry.matches(call)]
        if not entries:
            return answer
        thin = replace(answer)
        if answer.media.startswith("application/json") and answer.content is not None:
            thin.content = msgspec.json.decode(answer.body())  # a copy: handlers hand out what they keep
        for entry in entries:
            for path in entry.optional:
                _leave_out(thin.content, path.split("."))
            if entry.statuses and 200 <= answer.status < 300:
                thin.status = entry.statuses[self._turns[entry] % len(entry.statuses)]
                self._turns[entry] += 1
        if thin.status == 204:
            thin.content = None
        return thin


def _leave_out(content: Any, path: Sequence[str]) -> None:
    name, *rest = path
    if name == "*":
        for each in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
            _leave_out(each, rest)
    elif isinstance(content, dict) and name in content:
        if rest:
            _leave_out(content[name], rest)
        else:
            del content[name]
