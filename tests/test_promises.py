"""The delivery promise names a test for each of its lines: one that is there, runs, and can fail."""

import ast
import re
from functools import cache

import pytest

from tests.pages import ROOT

PAGE = ROOT / "docs" / "delivery-promise.md"
_NAMED = re.compile(r"`([\w/]+\.py)((?:::\w+)+)`")
_LEFT_OUT = {"skip", "skipif", "xfail"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def promises() -> list[tuple[str, str]]:
    """Each line of the table: what is promised, and what proves it."""
    rows = [line.strip().strip("|").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [(promise.strip(), proof.strip()) for promise, proof in rows[1:]]


@cache
def module(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def functions(path: str, name: str) -> list[tuple[Function, list[ast.expr]]]:
    """Functions of this name, of a class (`::Class::name`) or wherever they are, each with the decorators on it and on
    its class."""
    *of, last = name.removeprefix("::").split("::")
    tree = module(path)
    places: list[tuple[list[ast.stmt], list[ast.expr]]] = [([] if of else tree.body, [])]
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef) and (not of or of == [each.name])]
    places += [(each.body, each.decorator_list) for each in classes]
    return [
        (each, [*each.decorator_list, *decorators])
        for body, decorators in places
        for each in body
        if isinstance(each, Function) and each.name == last
    ]


def proves(function: Function, path: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether something in it, or in what it calls of its own file, can fail a test."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name == "pytest.raises":
                return True
            own = name.rpartition(".")[2]
            if own not in seen and any(proves(each, path, seen | {own}) for each, _ in functions(path, f"::{own}")):
                return True
    return False


def left_out(function: Function, decorators: list[ast.expr]) -> set[str]:
    """What keeps a test from running, or from counting."""
    calls = [each for each in ast.walk(function) if isinstance(each, ast.Call)]
    said = {ast.unparse(each).partition("(")[0] for each in (*decorators, *calls)}
    return {each for each in said if each.rpartition(".")[2] in _LEFT_OUT}


def is_heavy(path: str, name: str) -> bool:
    """Whether all cases of a test are left to `make test-heavy`."""
    whole = any(ast.unparse(each) == "pytestmark = heavy" for each in module(path).body)
    return whole or any("heavy" in map(ast.unparse, marks) for _, marks in functions(path, name))


def faults(path: str, name: str) -> list[str]:
    """What is wrong with a test that is named as a proof."""
    last = name.rpartition("::")[2]
    if not last.startswith("test_"):
        return ["that is no test"]
    if not (ROOT / path).exists():
        return ["there is no such file"]
    found = functions(path, name)
    if not found:
        return ["there is no such test"]
    return [
        *(f"it is marked {mark}" for function, marks in found for mark in left_out(function, marks)),
        *("nothing in it can fail" for function, _ in found if not proves(function, path)),
    ]


@pytest.mark.parametrize(("promise", "proof"), promises(), ids=lambda text: str(text)[:40])
def test_each_promise_is_proved(promise: str, proof: str) -> None:
    named = _NAMED.findall(proof)
    assert named, f"no test is named for: {promise}"
    assert not re.sub(r"[\s,]", "", _NAMED.sub("", proof)), "what stands there is a list of tests, and nothing else"
    assert {f"{path}{name}": faults(path, name) for path, name in named if faults(path, name)} == {}
    assert any(not is_heavy(path, name) for path, name in named), "a test of it belongs in `make test`"


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("def test_it():\n    assert f() == 1", []),
        ("def test_it():\n    check(f())\ndef check(found):\n    assert found", []),
        ("def test_it():\n    with pytest.raises(ValueError):\n        f()", []),
        ("class Test:\n    def test_it(self):\n        self.look()\n    def look(self):\n        assert f()", []),
        ("def test_it():\n    f()", ["nothing in it can fail"]),
        ("def test_it():\n    assert True", ["nothing in it can fail"]),
        ("def test_it():\n    '''Some day.'''", ["nothing in it can fail"]),
        ("@pytest.mark.skip\ndef test_it():\n    assert f()", ["it is marked pytest.mark.skip"]),
        ("@pytest.mark.xfail(strict=True)\ndef test_it():\n    assert f()", ["it is marked pytest.mark.xfail"]),
        ("@pytest.mark.skipif(True, reason='')\nclass Test:\n    def test_it(self):\n        assert f()",
         ["it is marked pytest.mark.skipif"]),
        ("def test_it():\n    pytest.skip('not today')\n    assert f()", ["it is marked pytest.skip"]),
        ("class TestMore:\n    def test_other(self):\n        assert f()", ["there is no such test"]),
    ],
)  # fmt: skip
def test_what_counts_as_a_proof(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, code: str, wrong: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_a.py").write_text(code)
    monkeypatch.setattr("tests.test_promises.ROOT", folder)
    module.cache_clear()
    assert faults("test_a.py", "::test_it") == wrong
    module.cache_clear()
