"""The pages of the documentation, and the blocks of code in them."""

import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/**/*.md"))


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in _blocks(page) if block.language in languages]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])


def module_from(name: str) -> types.ModuleType:
    """The file of that name in docs/add-a-destination.md, as a module that the others can import."""
    if name in sys.modules:
        return sys.modules[name]
    [block] = [block for block in blocks("python") if block.text.startswith(f"# {name}.py\n")]
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile("\n" * block.line + block.text, str(block.page), "exec"), module.__dict__)
    return module
