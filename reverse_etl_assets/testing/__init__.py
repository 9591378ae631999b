"""For tests of destinations: the suites that every destination passes, and builders of their words.

The suites need pytest; nothing else in the library does.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reverse_etl_assets.dbt.manifest import Model as Model
    from reverse_etl_assets.testing.abilities import (
        JobContract as JobContract,
        LookupContract as LookupContract,
        SchemaContract as SchemaContract,
    )
    from reverse_etl_assets.testing.builders import batch as batch, record as record, target as target
    from reverse_etl_assets.testing.contract import (
        DestinationContract as DestinationContract,
        OutcomeContract as OutcomeContract,
    )
    from reverse_etl_assets.testing.harness import (
        Harness as Harness,
        Session as Session,
        Stored as Stored,
        error_of as error_of,
        with_field as with_field,
    )
    from reverse_etl_assets.testing.pace import PaceContract as PaceContract, VirtualClock as VirtualClock
    from reverse_etl_assets.testing.reading import ReadBackContract as ReadBackContract
    from reverse_etl_assets.testing.scratch import ScratchProject as ScratchProject
else:
    from contextlib import suppress

    from reverse_etl_assets.lazy_names import lazy_names

    with suppress(ImportError):  # a suite that fails shows the values it compared, as pytest does of one's own tests
        import pytest

        suites = ("abilities", "contract", "harness", "pace", "reading")
        pytest.register_assert_rewrite(*(f"{__name__}.{suite}" for suite in suites))

    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
