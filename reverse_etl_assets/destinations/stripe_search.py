"""Queries of the Search API, which finds customers by a key of their metadata ("Search", docs.stripe.com)."""

from collections.abc import Iterator, Sequence

CLAUSES, QUERY_LENGTH = 10, 5_000
"""Clauses of a search, and characters of its query ("Search", docs.stripe.com; "Search customers", API reference)."""


def queries(metadata_key: str, values: Sequence[str]) -> Iterator[str]:
    """One query for all values, or more if they are too long for one."""
    name, query = quoted(metadata_key), ""
    for each in values:
        clause = f"metadata[{name}]:{quoted(each)}"
        if query and len(query) + len(clause) + 4 > QUERY_LENGTH:
            yield query
            query = ""
        query = f"{query} OR {clause}" if query else clause
    yield query


def quoted(text: str) -> str:
    """A text in a search query ("Search query language": a quote inside quotes is escaped with a backslash)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
