"""Runs tests against a copy of the project with one mistake in it."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.places import Mutant

PACKAGE = "reverse_etl_assets"
_ALONE = ["-x", "-q", "-p", "no:cacheprovider", "-o", "markers=heavy", "--hypothesis-seed=0"]
_MANIFEST = "dbt_project/target/manifest.json"  # not in git, and some tests read it


class Verdict(StrEnum):
    KILLED = "killed"
    TIMED_OUT = "timed out"
    """Killed as well: the tests did not come to an end."""
    SURVIVED = "survived"


class Broken(Exception):
    """The tests do not run at all, so they say nothing."""


class Trial:
    """A copy of a checkout in which one file after the other is made wrong."""

    def __init__(self, tree: Path, copy: Path, *, timeout: float) -> None:
        self._copy, self._timeout = copy, timeout
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=tree,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in [*listed.split("\0"), _MANIFEST]:
            if name and (tree / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(tree / name, copy / name)

    def text(self, file: str) -> str:
        return (self._copy / PACKAGE / file).read_text()

    def exists(self, path: str) -> bool:
        return (self._copy / path).is_file()

    def judge(self, mutant: Mutant, tests: Sequence[str]) -> Verdict:
        with self._made_wrong(mutant):
            return self.run(tests)

    def run(self, tests: Sequence[str]) -> Verdict:
        """Raises Broken if pytest finds no tests or cannot be called so."""
        shutil.rmtree(self._copy / ".hypothesis", ignore_errors=True)  # what another mutant failed for
        command = [sys.executable, "-m", "pytest", *_ALONE, *tests]
        environment = {**os.environ, "PYTHONPATH": str(self._copy)}
        with subprocess.Popen(
            command,
            cwd=self._copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as pytest:
            try:
                said, _ = pytest.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired:
                return Verdict.TIMED_OUT
            finally:  # with what the tests have started
                if pytest.poll() is None:
                    os.killpg(pytest.pid, signal.SIGKILL)
        if pytest.returncode in (4, 5):
            raise Broken(f"{' '.join(command)}\n{said}")
        return Verdict.SURVIVED if pytest.returncode == 0 else Verdict.KILLED

    @contextmanager
    def _made_wrong(self, mutant: Mutant) -> Iterator[None]:
        file = self._copy / PACKAGE / mutant.file
        compiled = Path(importlib.util.cache_from_source(str(file)))  # goes by size and second, which may be the same
        try:
            compiled.unlink(missing_ok=True)
            file.write_text(mutant.mutated())
            yield
        finally:
            compiled.unlink(missing_ok=True)
            file.write_text(mutant.text)


@contextmanager
def trial(tree: Path, *, timeout: float) -> Iterator[Trial]:
    with TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as copy:
        yield Trial(tree, Path(copy), timeout=timeout)
