from tests.coverage_by_room import by_room, table


def of(lines: int, run: int, branches: int, taken: int) -> dict[str, dict[str, int]]:
    figures = {"num_statements": lines, "covered_lines": run, "num_branches": branches, "covered_branches": taken}
    return {"summary": figures}


def test_files_count_for_their_room_and_for_all() -> None:
    files = {"lib/state/a.py": of(10, 5, 4, 1), "lib/state/sub/b.py": of(10, 10, 0, 0), "lib/errors.py": of(3, 3, 0, 0)}
    lines = list(table(by_room({"files": files})))
    assert [line.split() for line in lines[1:]] == [
        ["lib/errors.py", "3", "100.0", "%", "0", "-"],
        ["lib/state", "20", "75.0", "%", "4", "25.0", "%"],
        ["all", "23", "78.3", "%", "4", "25.0", "%"],
    ]
