"""Names of a package that are imported when somebody asks for them (PEP 562), so that the package itself costs nothing.

The package lists them as imports under `if TYPE_CHECKING:`, where type checkers and readers look; here the same lines
say which module has a name.
"""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Lazy = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def lazy_names(package: str, file: str) -> Lazy:
    """`__getattr__`, `__dir__` and `__all__` of the package whose `__init__.py` is `file`."""
    where = {
        name.asname or name.name: (line.module, name.name)
        for block in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for line in block.body
        if isinstance(line, ast.ImportFrom) and line.module
        for name in line.names
    }

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = where[name]
        return getattr(import_module(module or ""), original)

    names = sorted(where)
    return find, lambda: names, names
