"""Custom audiences: entries judged and matched, and sessions that replace everybody."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from reverse_etl_sandbox.faults import Fault, lost
from reverse_etl_sandbox.store import Entry, Table

KEYS = {"EMAIL": True, "PHONE": True, "MADID": True, "EXTERN_ID": True}
HASHED = frozenset({"EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST", "ZIP", "COUNTRY"})
OTHERS = frozenset({"MADID", "EXTERN_ID", "LOOKALIKE_VALUE"})
OPTIONS = frozenset({f"DATA_PROCESSING_OPTIONS{end}" for end in ("", "_COUNTRY", "_STATE")})
SESSION_SECONDS = 5_400.0
MOST_SAMPLES = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEVICE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Row = dict[str, Any]


def wrong_cell(row: Row) -> tuple[str, str] | None:
    """The first cell of an entry that cannot be used, and why; of an entry that names nobody, the whole of it."""
    for name, value in row.items():
        if value == "" or name in OPTIONS:
            continue
        if name in HASHED and not (isinstance(value, str) and _SHA256.fullmatch(value)):
            return str(value), f"{name} is not a SHA-256 hash"
        if name == "MADID" and not (isinstance(value, str) and _DEVICE.fullmatch(value)):
            return str(value), "MADID is not a mobile advertiser ID"
        if name == "LOOKALIKE_VALUE" and (not isinstance(value, int | float) or value < 0):
            return str(value), "LOOKALIKE_VALUE is not a number from 0"
    if not any(value for name, value in row.items() if name in HASHED or name in KEYS):
        return "", "the entry is empty"
    return None


@dataclass(slots=True)
class Session:
    """A replace session. Times are seconds since 1970; ``closed`` is when the last batch came."""

    id: int
    started: float
    schema: list[str]
    received: int = 0
    invalid: int = 0
    closed: float | None = None
    ended: float | None = None
    rows: list[Row] = field(default_factory=list)

    def describe(self) -> dict[str, str]:
        """All numbers are texts (Custom Audience Session)."""
        ended = self.ended is not None
        return {
            "session_id": str(self.id),
            "start_time": str(int(self.started)),
            "end_time": str(int(self.ended)) if self.ended is not None else "0",
            "num_received": str(self.received),
            "num_matched": str(len(self.rows)) if ended else "-1",
            "num_invalid_entries": str(self.invalid),
            "progress": "100" if ended else "0",
            "stage": "finished" if ended else "uploading",
        }


@dataclass(slots=True)
class Audience:
    """One audience and its people. Counted as ``updated`` are entries: Meta does not say whom it knew before."""

    id: str
    name: str
    subtype: str = "CUSTOM"
    status: tuple[int, str] = (200, "Normal")
    value_based: bool = False
    sessions: dict[int, Session] = field(default_factory=dict)
    people: Table = field(init=False)

    def __post_init__(self) -> None:
        self.people = Table(self.id, str, dict(KEYS))

    def open_session(self) -> Session | None:
        return next((session for session in self.sessions.values() if session.ended is None), None)

    def settle(self, now: float, processing: float) -> None:
        """End what is over by now: a session that was closed, or one that is older than 90 minutes."""
        session = self.open_session()
        if session is None:
            return
        closed = session.closed
        if closed is not None and now >= closed + processing:
            self._end(session, closed + processing, (200, "Normal"))
        elif closed is None and now >= session.started + SESSION_SECONDS:
            self._end(session, session.started + SESSION_SECONDS, (415, "Replace failed"))

    def _end(self, session: Session, at: float, status: tuple[int, str]) -> None:
        session.ended, self.status = at, status
        for entry in list(self.people.entries.values()):
            self.people.purge(entry)
        for row in session.rows:
            self.put(row, at)

    def put(self, row: Row, now: float) -> None:
        """Add a person, or what was not known of one."""
        people, known = self.people, {name: value for name, value in row.items() if value not in ("", [])}
        found = self._same(row)
        if found is not None:
            people.update(found, known, now)
        else:
            people.insert(known, now, record_id=f"p{people.sequence + 1}")
            people.counters.created -= 1
            people.counters.updated += 1

    def drop(self, row: Row) -> None:
        """Remove whoever the entry fits; nobody, if there is none."""
        while (found := self._same(row)) is not None:
            self.people.purge(found)
            self.people.counters.deleted += 1

    def _same(self, row: Row) -> Entry | None:
        for name in KEYS:
            if row.get(name) and (found := self.people.find(name, row[name])):
                return found[0]
        return None


@dataclass(slots=True)
class Upload:
    """The entries of one request, judged."""

    good: list[Row] = field(default_factory=list)
    samples: dict[str, str] = field(default_factory=dict)
    invalid: int = 0

    @classmethod
    def judged(cls, rows: list[Row], faults: list[Fault]) -> Upload:
        """Entries that a fault refuses are invalid, and those that it loses are good and not kept."""
        made = cls()
        for row in rows:
            key = next((str(value) for value in row.values() if value), "")
            wrong = wrong_cell(row)
            if wrong is None and any(fault.kind == "refuse_rows" and fault.hits_row(key) for fault in faults):
                wrong = key, "Refused by a rule of the sandbox"
            if wrong is not None:
                made.invalid += 1
                if len(made.samples) < MOST_SAMPLES:
                    made.samples[wrong[0]] = wrong[1]
            elif not lost(faults, key):
                made.good.append(row)
        return made
