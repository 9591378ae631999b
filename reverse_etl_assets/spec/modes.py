"""The sync modes, a row each: what a mode sends, and how. Nothing else knows them apart."""

from dataclasses import dataclass
from enum import StrEnum

from reverse_etl_assets.records import Operation


@dataclass(frozen=True)
class Mode:
    """What a mode means to the engine.

    `word` is that of the YAML, and `sends` the mode in words for people. `write` is what is asked for a row that goes
    out; `deletes` says that a removed row's record is to be deleted. `sends_all` says that every row goes out in every
    run, whether it differs or not. `writes_once` says that a row is written once, and never changed or looked at again.
    `of_events` says that what is written is an event or a message: no record that another row could share, or that
    could be compared.
    """

    word: str
    sends: str
    write: Operation
    deletes: bool = False
    sends_all: bool = False
    writes_once: bool = False
    of_events: bool = False

    @property
    def operations(self) -> frozenset[Operation]:
        """All that a mode may ask of a destination."""
        return frozenset({self.write, Operation.DELETE} if self.deletes else {self.write})

    @property
    def by_kind(self) -> dict[str, Operation]:
        """What is done with each kind of row; kinds that the mode leaves alone have no operation."""
        if self.writes_once:
            return {"added": self.write}
        written = dict.fromkeys(("added", "changed", "unchanged"), self.write)
        return {**written, "removed": Operation.DELETE} if self.deletes else written


class SyncMode(StrEnum):
    """Which rows are sent, and what is done with the records."""

    # A member is the word that YAML has, and has its `Mode`.

    mode: Mode

    def __new__(cls, mode: "Mode | str") -> "SyncMode":
        assert isinstance(mode, Mode)  # noqa: S101 - words are looked up, and never get here
        member = str.__new__(cls, mode.word)
        member._value_, member.mode = mode.word, mode
        return member

    FULL_REFRESH = Mode("full_refresh", "every row, every run", Operation.UPSERT, sends_all=True)
    INCREMENTAL = Mode("incremental", "added and changed rows", Operation.UPSERT)
    MIRROR = Mode("mirror", "added, changed and removed rows", Operation.UPSERT, deletes=True)
    UPDATE_ONLY = Mode("update_only", "only records that exist", Operation.UPDATE)
    INSERT_ONLY = Mode("insert_only", "only records that do not exist yet", Operation.INSERT, writes_once=True)
    APPEND = Mode("append", "a new record for each new row", Operation.INSERT, writes_once=True, of_events=True)
