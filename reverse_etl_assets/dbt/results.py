"""What dbt did last, from the files that it leaves, whoever started it; and what its builds and tests say of a model.

dbt writes `run_results.json` anew with every command (https://docs.getdbt.com/reference/artifacts/run-results-json,
read 2026-11-30), so each result goes to the journal, where the latest of each test stays.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reverse_etl_assets.dbt.manifest import Model, tested
from reverse_etl_assets.dbt.names import name_of
from reverse_etl_assets.dbt.settings import had_vars
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Journal, ModelResult

BUILD = "build"
_GOOD = frozenset({"success", "pass", "warn"})
"""Every other word is not: `partial success` is none, and a word of a later dbt may mean anything."""
_PLAIN = frozenset({"fail", "error", "runtime error"})
_BUILDS, _TESTS = frozenset({"build", "run", "clone"}), frozenset({"build", "test"})
"""Commands whose results count. `compile` and `docs generate` call all a success; a retry has its command's name."""
_FILES = 10  # dbt under Dagster writes a folder for each command; the latest of them

Results = Mapping[str, Sequence[ModelResult]]
"""By dbt's id of what was built or tested: a model, source, seed or snapshot."""


@dataclass(frozen=True)
class ModelTests:
    """What is known of the model's table: what failed, and why it cannot be said that nothing did."""

    bad: tuple[str, ...] = ()
    good: int = 0
    unknown: str = ""


@dataclass(frozen=True)
class Target:
    """The target of dbt's profile that the syncs read, and where its models are, by id.

    `default` is the one that a command of dbt took that named none; None if that follows from its environment.
    """

    name: str
    default: str | None
    profile: str | None = None
    models: Mapping[str, Model] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Those that dbt has to be given, for its models to be these."""


@dataclass(frozen=True)
class Dbt:
    """Where dbt leaves its files, and the target that the syncs read."""

    manifest: Path
    target: str | Callable[[], Target]
    """Or how to find it out, which takes a look at dbt's profile."""

    @property
    def read(self) -> Target:
        return Target(self.target, self.target) if isinstance(self.target, str) else self.target()


def listen(journal: Journal, dbt: Dbt) -> dict[Path, str]:
    """Take what dbt's files say into the journal. Returns the files that cannot be read, with why.

    Results of another target are of other tables, and are left out.
    """
    nodes: Mapping[str, Any] | None = None
    trouble: dict[Path, str] = {}
    target = dbt.read
    for file in _files(dbt.manifest.parent):
        try:
            run_results = json.loads(file.read_text())
            nodes = nodes or json.loads(dbt.manifest.read_text())
            if is_of(target, run_results):
                journal.hear_model_results(results_of(run_results, nodes))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            trouble[file] = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else "it is not whole"
    return trouble


def is_of(target: Target, run_results: Mapping[str, Any]) -> bool:
    """Whether a command of dbt was for the target and had its variables; where no target is said, by the places that it
    built.

    Raises KeyError, TypeError or AttributeError if the results are not as dbt writes them.
    """
    args = run_results["args"]
    if target.profile and args.get("profile") not in (None, target.profile):
        return False
    if not had_vars(args, target.vars):
        return False
    if named := args.get("target") or target.default:
        return bool(named == target.name)
    return not any(_elsewhere(result, target) for result in run_results["results"])


def check_place(dbt: Dbt, model: Model) -> None:
    """Raises StateError if dbt says that it built the model for the target in another place than its manifest says."""
    file, target = dbt.manifest.with_name("run_results.json"), dbt.read
    try:
        found = json.loads(file.read_text())
        ours = found["args"]["which"] in _BUILDS and (found["args"].get("target") or target.default) == target.name
        wrong = [each for each in found["results"] if each["unique_id"] == model.unique_id and _elsewhere(each, target)]
        if ours and wrong and is_of(target, found):
            raise StateError(
                f"dbt built {model.name} last as {wrong[0]['relation_name']} for target `{target.name}`"
                f" ({file}), and its manifest says {_place(model)}: build it again (`dbt build --select {model.name}"
                f" --target {target.name}`)."
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # `listen` says what is wrong with it
        return


def _elsewhere(result: Mapping[str, Any], target: Target) -> bool:
    """Whether a build's table is not where the target's manifest has the model."""
    model = target.models.get(result["unique_id"])
    parts = re.findall(r'"((?:[^"]|"")*)"', result.get("relation_name") or "")
    if model is None or len(parts) != 3 or result["status"] != "success":
        return False
    wanted = (model.database or parts[0], model.schema, model.identifier)
    return [part.lower() for part in parts] != [part.lower() for part in wanted]


def _place(model: Model) -> str:
    return ".".join(f'"{part}"' for part in (model.database, model.schema, model.identifier) if part)


def _files(folder: Path) -> list[Path]:
    def written(file: Path) -> float:
        return file.stat().st_mtime if file.exists() else 0.0

    found = [folder / "run_results.json", *folder.glob("*/run_results.json")]
    return [file for file in sorted(found, key=written, reverse=True)[:_FILES] if written(file)]


def results_of(run_results: Mapping[str, Any], manifest: Mapping[str, Any]) -> Results:
    """The results of one dbt command. A test that was skipped says nothing, and is left out; a build says so.

    Raises KeyError, TypeError or ValueError if they are not as dbt writes them.
    """
    command, ended = run_results["args"]["which"], _moment(run_results["metadata"]["generated_at"])
    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    found: dict[str, list[ModelResult]] = {}
    for result in run_results["results"]:
        node = nodes.get(result["unique_id"])
        status, at = str(result["status"]).lower(), _ended(result, ended)
        if node is None:
            continue
        if node["resource_type"] in ("test", "unit_test"):
            if command in _TESTS and status != "skipped":
                for unique_id in tested(node, manifest):
                    found.setdefault(unique_id, []).append(ModelResult(node["name"], status, at))
        elif command in _BUILDS:
            built = "pass" if status == "success" else status
            found.setdefault(node["unique_id"], []).append(ModelResult(BUILD, built, at))
    return found


def _ended(result: Mapping[str, Any], otherwise: float) -> float:
    moments = [_moment(part["completed_at"]) for part in result.get("timing") or () if part.get("completed_at")]
    return max(moments, default=otherwise)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def judge_results(model: Model, journal: Journal, trouble: Mapping[Path, str]) -> ModelTests:
    """What the latest result of each of the model's tests says of the table that is there."""
    if model.parts:
        return _judge_query(model, journal, trouble)
    known = {result.test: result for result in journal.model_results(model.unique_id)}
    if not known:  # what an earlier release knew by name, which is another project's too: enough to stop for
        known = {r.test: r for r in journal.model_results(model.name) if r.status not in _GOOD}
    build = known.pop(BUILD, None)
    if model.tests is not None:  # one that was deleted or switched off must not stop syncs for good
        known = {name: result for name, result in known.items() if name in (*model.tests, *model.unit_tests)}
    bad = [_failed(r, None if r.test in model.unit_tests else build) for r in known.values() if r.status not in _GOOD]
    if build and build.status not in _GOOD:
        bad += [_not_built(build.status, list(_culprits(model, journal)))]
    good = sum(result.status in _GOOD for result in (*known.values(), *([build] if build else [])))
    unknown = _unreadable(trouble, [*known.values(), *([build] if build else [])]) or _unknown(model, build, known)
    return ModelTests(tuple(bad), good, unknown)


def _judge_query(query: Model, journal: Journal, trouble: Mapping[Path, str]) -> ModelTests:
    """What is known of the models that it reads; of the query itself nothing can be."""
    found = [(model, judge_results(model, journal, trouble)) for model in query.read_models]
    bad = tuple(f"{test} of {model.name}" for model, tests in found for test in tests.bad)
    unknown = [f"{model.name}: {tests.unknown}" for model, tests in found if tests.unknown]
    why = "; ".join(["dbt does not test a query", *unknown])
    return ModelTests(bad, sum(tests.good for _, tests in found), why)


def _failed(result: ModelResult, build: ModelResult | None) -> str:
    test = result.test if result.status in _PLAIN else f"{result.test} ({result.status})"
    return f"{test}, which has not run since the model was built anew" if build and result.at < build.at else test


def _not_built(status: str, culprits: Sequence[str]) -> str:
    return f"{BUILD} ({status}{', for ' + ', '.join(culprits) if culprits else ''})"


def _culprits(model: Model, journal: Journal) -> Iterator[str]:
    """What failed of that which the model is built from."""
    for unique_id in model.upstream:
        for result in journal.model_results(unique_id):
            if result.status not in _GOOD | {"skipped"}:
                what = "build" if result.test == BUILD else result.test
                yield f"{what} of {name_of(unique_id)} failed"


def _unreadable(trouble: Mapping[Path, str], known: Iterable[ModelResult]) -> str:
    """Why the last results may be others than the known ones, if they may."""
    newest = max((result.at for result in known), default=0.0)
    for file, why in trouble.items():
        if not file.exists() or file.stat().st_mtime >= newest:
            return f"dbt's last results in {file} cannot be read ({why}); build or test the model again"
    return ""


def _unknown(model: Model, build: ModelResult | None, known: Mapping[str, ModelResult]) -> str:
    if not known and not build:
        return "no results of dbt are known; build the model with `dbt build`"
    if model.tests is None:
        return ""
    never = sorted(set(model.tests) - known.keys())
    if never:
        return f"{_some(never)} never ran; run `dbt test`"
    old = sorted(name for name in model.tests if build and known[name].at < build.at)
    return f"{_some(old)} ran before the model was built anew; run `dbt test`" if old else ""


def _some(tests: Sequence[str]) -> str:
    return ", ".join(tests[:3]) + (f" and {len(tests) - 3} more" if len(tests) > 3 else "")
