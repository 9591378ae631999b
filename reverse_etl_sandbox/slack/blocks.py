"""Which blocks Slack takes in a message, as far as rows could spoil them: kinds, numbers and lengths of texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

KINDS = frozenset({"actions", "context", "divider", "header", "image", "markdown", "rich_text", "section", "video"})
MOST_BLOCKS = 50
MOST_TEXT = {"section": 3_000, "header": 150, "markdown": 12_000}


def block_problems(blocks: Any) -> list[str]:
    """In Slack's own words, each with the place it is about."""
    if not isinstance(blocks, list):
        return ["blocks must be an array [json-pointer:/blocks]"]
    if len(blocks) > MOST_BLOCKS:
        return [f"no more than {MOST_BLOCKS} items allowed [json-pointer:/blocks]"]
    return [problem for place, block in enumerate(blocks) for problem in _problems(block, f"/blocks/{place}")]


def _problems(block: Any, where: str) -> Iterator[str]:
    if not isinstance(block, dict) or block.get("type") not in KINDS:
        yield f"unsupported type [json-pointer:{where}/type]"
        return
    kind = block["type"]
    if kind == "section" and not block.get("text") and not block.get("fields"):
        yield f"missing required field: text [json-pointer:{where}]"
    for text, place in _texts(block, where):
        if not text:
            yield f"must be more than 0 characters [json-pointer:{place}]"
        elif len(text) > MOST_TEXT.get(kind, 3_000):
            yield f"must be less than {MOST_TEXT.get(kind, 3_000) + 1} characters [json-pointer:{place}]"
    if kind == "image" and not str(block.get("image_url", "")).startswith("https://"):
        yield f"invalid image url [json-pointer:{where}/image_url]"


def _texts(part: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, list):
        for place, inner in enumerate(part):
            yield from _texts(inner, f"{where}/{place}")
    elif isinstance(part, dict):
        for name, inner in part.items():
            if name == "text" and isinstance(inner, str):
                yield inner, f"{where}/{name}"
            else:
                yield from _texts(inner, f"{where}/{name}")


def total_text(blocks: Any) -> int:
    """Characters of all texts together."""
    return sum(len(text) for text, _ in _texts(blocks, ""))
