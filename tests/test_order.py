"""`after` in the files of syncs: what comes first, and what cannot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.policies import OnMissingParent
from reverse_etl_assets.spec.sync import Sync
from tests.test_fitness import Audience, Mute

PEOPLE = Model("people", "model.x.people", "marts", "people", dict.fromkeys(("id", "name", "firm", "part")), {})
GOOD = """\
model: people
destination: hook
object: {name}
primary_key: id
mapping: {{who: name}}
sync_mode: incremental
"""


def load(folder: Path, types: Mapping[str, Any] | None = None, **files: str) -> dict[str, Sync]:
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(GOOD.format(name=name) + text)
    return load_syncs(folder, {"people": PEOPLE}, types or {"hook": Mute})


def refused(folder: Path, types: Mapping[str, Any] | None = None, **files: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        load(folder, types, **files)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


def test_parents_come_before_children_and_else_nothing_moves(tmp_path: Path) -> None:
    found = load(tmp_path, a="after: [d, c]\n", b="", c="", d="after: e\n", e="", f="after: a\n")
    assert list(found) == ["e", "d", "c", "a", "b", "f"]


@pytest.mark.parametrize(
    ("text", "parents", "keys"),
    [
        ("after: p\n", ("p",), [()]),
        ("after: [p, q]\n", ("p", "q"), [(), ()]),
        ("after: {sync: p, key: firm}\n", ("p",), [("firm",)]),
        ("after:\n  - q\n  - {sync: p, key: [firm]}\n", ("q", "p"), [(), ("firm",)]),
        ("after: [{sync: p, key: firm}, {sync: p, key: part}]\n", ("p",), [("firm",), ("part",)]),
    ],
)
def test_ways_to_write_it(tmp_path: Path, text: str, parents: tuple[str, ...], keys: list[tuple[str, ...]]) -> None:
    found = load(tmp_path, a=text, p="", q="")["a"]
    assert (found.parents, [parent.key for parent in found.after]) == (parents, keys)
    assert {parent.on_missing_parent for parent in found.after} == {OnMissingParent.HOLD}
    assert set(found.columns) >= {column for key in keys for column in key}


LINE = len(GOOD.splitlines()) + 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("after: [pp]", "after.0: there is no sync `pp`; did you mean `p`?"),
        ("after: zzz", "after: there is no sync `zzz`; known are `p`, `two`."),
        ("after: [p, a]", "after.1: a sync cannot come after itself."),
        ("after: [p, p]", "after.1: `p` is named twice."),
        (
            "after: [{sync: two, key: firm}]",
            "after.0: a row of `two` is named by 2 columns (id, part), and `key` has 1.",
        ),
        ("after: [{sync: p, kee: firm}]", "after.0.kee: unknown field; did you mean `key`?"),
        ("after: [{sync: p, on_missing_parent: send}]", "after.0: `on_missing_parent` needs `key: <column>`"),
        (
            "after: [{sync: p, key: firm, on_missing_parent: keep}]",
            "after.0.on_missing_parent: 'keep' is unknown; known are `hold`, `send`.",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: str) -> None:
    two = GOOD.format(name="two").replace("primary_key: id", "primary_key: [id, part]")
    (tmp_path / "two.yml").write_text(two)
    (found,) = refused(tmp_path, a=f"{text}\n", p="")
    assert found.startswith(f"a.yml:{LINE}: {line}")


def test_circles(tmp_path: Path) -> None:
    found = refused(tmp_path, a="after: c\n", b="after: a\n", c="description: x\nafter: b\n", d="after: a\n", e="")
    assert found == [f"a.yml:{LINE}: after: each of them would wait for the other: `a` after `c` after `b` after `a`."]


def test_a_parent_whose_file_is_wrong_is_not_said_to_be_missing(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, a="after: p\n", p="sync_mod: x\n")
    assert line.startswith("p.yml")


def test_rows_of_a_replaced_audience_cannot_wait(tmp_path: Path) -> None:
    """What is held back from it would be taken out."""
    whole = {"a": "after: {sync: p, key: firm}\n", "p": ""}
    for name, text in whole.items():
        text = (GOOD.format(name=name) + text).replace("incremental", "full_refresh" if name == "a" else "incremental")
        (tmp_path / f"{name}.yml").write_text(text)
    (line,) = refused(tmp_path, {"hook": Audience})
    assert "a row that is held back would be taken out; write `on_missing_parent: send`." in line
