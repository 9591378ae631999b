"""What `make test` leaves to `make test-heavy`: further cases, vendors and values of one behaviour, whole programs."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

heavy = pytest.mark.heavy


def first(values: Iterable[Any], keep: int = 1) -> list[Any]:
    """The values of a parameter, of which only the first `keep` are tried in every run."""
    return [value if at < keep else pytest.param(value, marks=heavy) for at, value in enumerate(values)]


def first_rows(rows: Iterable[Sequence[Any]], keep: int = 1) -> list[Any]:
    """The same of several parameters at once, a row of values each."""
    return [row if at < keep else pytest.param(*row, marks=heavy) for at, row in enumerate(rows)]


def seeds(setting: str, count: int) -> list[Any]:
    """Seeds of a random test: `count`, or as many as the environment says; the first one in every run."""
    return first(range(int(os.environ.get(setting, count))))
