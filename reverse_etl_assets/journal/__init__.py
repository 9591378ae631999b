"""The journal: what every run intended, sent and heard, and what all processes have to agree on.

Each name is imported when it is first asked for: who only reads records, or stops by file, needs no database.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reverse_etl_assets.journal.journal import (
        LONGEST_HOLD as LONGEST_HOLD,
        SLOTS_AHEAD as SLOTS_AHEAD,
        Journal as Journal,
    )
    from reverse_etl_assets.journal.records import (
        Answer as Answer,
        ControlEntry as ControlEntry,
        Intent as Intent,
        ModelResult as ModelResult,
        Run as Run,
        RunStatus as RunStatus,
        SentBatch as SentBatch,
        Stop as Stop,
        Stopped as Stopped,
        Usage as Usage,
    )
else:
    from reverse_etl_assets.lazy_names import lazy_names

    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
