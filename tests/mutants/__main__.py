"""`make mutants SAMPLE=3 SEED=1 MODULES="undo fold"`, or `make mutants ONLY=sql/undo.sql:79:1`."""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests.mutants.nearest import NEAREST
from tests.mutants.places import Mutant, mutants
from tests.mutants.python_places import python_places
from tests.mutants.sql_places import sql_places
from tests.mutants.trial import PACKAGE, Trial, Verdict, trial


def main() -> int:
    asked = _asked()
    began = time.monotonic()
    verdicts: dict[str, Counter[Verdict]] = {}
    survivors: list[Mutant] = []
    with trial(asked.tree, timeout=asked.timeout) as here:
        for file, mutant in _chosen(here, asked):
            verdict = here.judge(mutant, _tests(here, file))
            verdicts.setdefault(file, Counter())[verdict] += 1
            survivors += [mutant] if verdict is Verdict.SURVIVED else []
            at = time.monotonic() - began
            print(f"{at:6.0f} s  {verdict:9}  {mutant.id}\n{_indented(mutant.diff())}", flush=True)
        killed_all = [file for file, counts in verdicts.items() if not counts[Verdict.SURVIVED]]
        red = {file: _tests(here, file) for file in killed_all if here.run(_tests(here, file)) is not Verdict.SURVIVED}
    print(_table({file: counts for file, counts in verdicts.items() if file not in red}))
    for file, tests in red.items():
        print(f"\n{file} is left out: {' '.join(tests)} fail without a mutant, too")
    if survivors:
        print("\nSurvived; `make mutants ONLY=<id>` repeats one:\n")
        print("\n".join(f"{mutant.id}\n{_indented(mutant.diff())}" for mutant in survivors))
    return 1 if red else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=3, help="mutants of each module; 0 is all")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--modules", default="", help="words, of which a module's name has to have one")
    parser.add_argument("--only", default="", help="the ids of mutants")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that the tests may take")
    parser.add_argument("--tree", type=Path, default=Path(), help="another checkout to copy")
    parser.add_argument("--list", action="store_true", help="show the mutants, and run nothing")
    asked = parser.parse_args()
    if not asked.list:
        return asked
    with trial(asked.tree, timeout=0) as here:
        for _, mutant in _chosen(here, asked):
            print(f"{mutant.id}\n{_indented(mutant.diff())}")
    sys.exit()


def _chosen(here: Trial, asked: argparse.Namespace) -> list[tuple[str, Mutant]]:
    """Mutants with the module that they are of. The same seed chooses the same ones, whatever else is asked for."""
    words, ids = asked.modules.split(), asked.only.split()
    chosen: list[tuple[str, Mutant]] = []
    for file in NEAREST:
        if ids and not any(each.startswith(f"{file}:") for each in ids):
            continue
        if words and not any(word in file for word in words):
            continue
        if not (here.exists(f"{PACKAGE}/{file}") and _tests(here, file)):
            continue  # of another checkout
        found = _mutants(here, file)
        if ids:
            found = [mutant for mutant in found if mutant.id in ids]
        elif asked.sample and len(found) > asked.sample:
            picked = random.Random(f"{asked.seed} {file}").sample(range(len(found)), asked.sample)
            found = [found[at] for at in sorted(picked)]
        chosen += [(file, mutant) for mutant in found]
    return chosen


def _mutants(here: Trial, file: str) -> list[Mutant]:
    text = here.text(file)
    return list(mutants(file, text, sql_places(text) if file.endswith(".sql") else python_places(text)))


def _tests(here: Trial, file: str) -> list[str]:
    return [test for test in NEAREST[file] if here.exists(test)]


def _indented(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())


def _table(verdicts: dict[str, Counter[Verdict]]) -> str:
    lines = ["", "| module | killed | survived | score |", "|---|---|---|---|"]
    every: Counter[Verdict] = Counter()
    for file, counts in sorted(verdicts.items()):
        lines.append(_line(file, counts))
        every += counts
    return "\n".join([*lines, _line("**all**", every)])


def _line(name: str, counts: Counter[Verdict]) -> str:
    slow, survived = counts[Verdict.TIMED_OUT], counts[Verdict.SURVIVED]
    killed = counts[Verdict.KILLED] + slow
    shown = f"{killed} ({slow} by time)" if slow else str(killed)
    return f"| {name} | {shown} | {survived} | {killed / max(1, killed + survived):.0%} |"


if __name__ == "__main__":
    sys.exit(main())
