"""How hard the random tests try: `HYPOTHESIS_PROFILE=heavy` for a night, the default for every day."""

import os

from hypothesis import HealthCheck, Phase, settings

from tests.engine.crms import force as force, hub as hub
from tests.engine.forgetting import home as home, told as told, zoe as zoe

_ALL = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]

# Shrinking repeats whole runs for minutes: only the heavy profile does so.
settings.register_profile(
    "quick",
    deadline=None,
    max_examples=15,
    suppress_health_check=_ALL,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.register_profile("heavy", deadline=None, max_examples=1_000, suppress_health_check=_ALL)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
