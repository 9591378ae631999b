"""A plan in Markdown, as a renderer reads it: short, with every value as it is and none as markup."""

from collections.abc import Sequence

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reverse_etl_assets.previews.markdown import markdown
from reverse_etl_assets.previews.preview import Preview, preview
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy

FREE = {"max_removed": {}, "row_count": {"percent": None, "deviations": None}}
NASTY = (
    "a|b",
    "`code`",
    "``",
    "`",
    "<b>x</b>",
    "[x](http://evil.example)",
    "*x*",
    "@everyone",
    "a\nb",
    "\\",
    "",
    " ",
    "|",
)


def tables(text: str) -> list[list[list[str]]]:
    """Each table's rows of cells, as they are read."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level == 4:
            found[-1][-1].append("".join(_text(token.children or ())))
    return found


def _text(tokens: Sequence[Token]) -> list[str]:
    assert all(
        token.type in ("text", "code_inline", "em_open", "em_close", "strong_open", "strong_close") for token in tokens
    )
    return [token.content for token in tokens]


def look(shop: Shop, sandbox: Sandbox, *names: str) -> Preview:
    sync = sink_sync(mapping={"id": "id", **dict.fromkeys(names or ("name",), "name")}, guards=FREE, sync_mode="mirror")
    return preview(sync, shop.environment, sink(sandbox.url))


@pytest.mark.parametrize("value", first(NASTY, 4))
def test_a_value_is_shown_as_it_is(shop: Shop, sandbox: Sandbox, value: str) -> None:
    quoted = value.replace("'", "''")
    shop.build(f"select 1 as id, '{quoted}' as name")
    rows = tables(markdown(look(shop, sandbox)))[-1]
    assert rows[-1][:3] == ["", "name", "empty"]
    assert rows[-1][3] in (value.replace("\n", " "), value.strip(" ") or " ")


def test_our_own_words_with_names_in_them_are_no_markup(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 1 as id, 'x' as name")
    shop.journal.stop("all", "@kim|*_", "<script>`x`")
    said = markdown(look(shop, sandbox))
    assert "by @\u200bkim\\|\\*\\_: \\<script\\>\\`x\\`" in said


def test_some_rows_of_each_kind(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = sink_sync(guards=FREE, sync_mode="mirror"), sink(sandbox.url)
    shop.build("select i as id, 'n' || i as name from range(100) r(i)")
    shop.run(sync, account)
    shop.build("select i as id, case when i = 7 then 'm' else 'n' || i end as name from range(3, 150) r(i)")
    found = preview(sync, shop.environment, account, limit=20)
    signs = [row[0][0] for row in tables(markdown(found))[-1][1:] if row[0]]
    assert signs == ["+"] * 6 + ["~"] + ["-"] * 3
    assert "### 10 of 54 rows" in markdown(found)


@heavy
def test_it_is_short_however_large_the_plan_is(shop: Shop, sandbox: Sandbox) -> None:
    names = [f"{'`|*' * 100}{n}" for n in range(300)]
    sync = sink_sync(
        mapping={"id": "id", **dict.fromkeys(names, "name")},
        guards={**FREE, "every_field": {"max_changed": {"rows": 0}}},
        sync_mode="mirror",
    )
    account = sink(sandbox.url)
    shop.build("select repeat('|`', 500) || i as id, repeat('`|', 500) as name from range(40) r(i)")
    shop.run(sync, account)
    shop.build("select repeat('|`', 500) || i as id, repeat('|`', 501) as name from range(20, 60) r(i)")
    said = markdown(preview(sync, shop.environment, account, limit=20))
    assert 20_000 < len(said) < 50_000
    assert {len(row) for table in tables(said) for row in table} == {2, 3, 4, 6}
    assert "280 more guards tripped." in said
    assert "285 more fields change in fewer rows." in said
