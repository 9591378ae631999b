"""Messages from rows: templates of texts and blocks, within Slack's limits, with the values escaped."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from reverse_etl_assets.destinations.base import SyncOptions
from reverse_etl_assets.destinations.templates import Scope, compile_text, row_names, row_scope
from reverse_etl_assets.errors import RequestRejected
from reverse_etl_assets.records import Batch, Record, Target

TEXT = 4_000
"""Characters of a message's text. chat.update refuses more (`msg_too_long`); chat.postMessage advises it, and cuts from
40,000 on (docs.slack.dev, chat.update and chat.postMessage, August 2026)."""
BLOCKS = 50
"""Blocks of a message (docs.slack.dev, Blocks, August 2026)."""
DIGEST_ROWS = 100
"""Rows of one digest, our choice: their lines have to fit into TEXT, and a batch of too many is halved."""


class SlackOptions(SyncOptions):
    """How a row becomes a message. Templates are as those of webhooks: `{{ fields.reason }}`."""

    text: str = Field(min_length=1)
    """Template of the message, in Slack's mrkdwn. With `blocks` it is the text of the notification; in a digest it is
    the line of a row."""
    blocks: list[dict[str, Any]] = Field(default_factory=list, max_length=BLOCKS)
    """Templates of the message's blocks, as Block Kit Builder makes them."""
    channel: str = ""
    """Template of where a row goes to: a channel, or a person, by user id or e-mail address. Where it comes out empty,
    the sync's `object`."""
    thread: str = ""
    """Template of the `ts` of a message to reply to."""
    digest: bool = False
    """One message for many rows; only for syncs that append."""
    header: str = ""
    """Template of a digest's first line. Placeholders: `rows`, which is how many there are, and `object`."""

    @model_validator(mode="after")
    def _fits(self) -> "SlackOptions":
        if self.digest and (self.blocks or self.channel or self.thread):
            raise ValueError("a digest is one text in one channel: leave out `blocks`, `channel` and `thread`.")
        if self.header and not self.digest:
            raise ValueError("`header` is the first line of a digest: set `digest: true`, or leave it out.")
        return self


def escaped(words: str) -> str:
    """A value's text in a message: `&`, `<` and `>` would be links and mentions otherwise, `<!channel>` for one.

    Source: docs.slack.dev, Formatting message text, August 2026.
    """
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Messages:
    """A sync's templates. Raises SpecError for a placeholder that does not exist."""

    def __init__(self, target: Target, options: SlackOptions) -> None:
        self._target = target
        known = ["object", *row_names(target)]
        self._text = compile_text(options.text, known, "text", escaped)
        self._blocks = [_compiled(block, known, f"blocks.{place}") for place, block in enumerate(options.blocks)]
        self._channel = compile_text(options.channel, known, "channel")
        self._thread = compile_text(options.thread, known, "thread")
        self._digest = options.digest
        self._header = compile_text(options.header, ["rows", "object"], "header", escaped)

    def channel(self, record: Record) -> str:
        """The channel that the row itself names; empty if it names none."""
        return self._channel(self._scope(record)).strip()

    def thread(self, record: Record) -> str:
        return self._thread(self._scope(record)).strip()

    def content(self, batch: Batch) -> dict[str, Any]:
        """Text and blocks, also if there are none: a message that is changed would keep those it had.

        Raises RequestRejected for a text that is too long.
        """
        scopes = [self._scope(record) for record in batch.records]
        text = self._digested(scopes) if self._digest else self._text(scopes[0])
        if len(text) > TEXT:
            raise RequestRejected(f"the text has {len(text):,} characters, and Slack takes {TEXT:,}", "msg_too_long")
        blocks = [] if self._digest else [render(scopes[0]) for render in self._blocks]
        return {"text": text, "blocks": blocks}

    def _digested(self, scopes: Sequence[Scope]) -> str:
        header = self._header({"rows": len(scopes), "object": self._target.object})
        return "\n".join(filter(None, [header, *map(self._text, scopes)]))

    def _scope(self, record: Record) -> Scope:
        return {"object": self._target.object, **row_scope(self._target, record)}


def _compiled(part: Any, known: Sequence[str], where: str) -> Callable[[Scope], Any]:
    """A part of a block: every text stays a text, and what Slack reads as markup is escaped, an address is not."""
    if isinstance(part, Mapping):
        entries = {key: _compiled(value, known, f"{where}.{key}") for key, value in part.items()}
        if part.get("type") in ("mrkdwn", "plain_text") and isinstance(part.get("text"), str):
            entries["text"] = compile_text(part["text"], known, f"{where}.text", escaped)
        return lambda scope: {key: render(scope) for key, render in entries.items()}
    if isinstance(part, list):
        items = [_compiled(value, known, f"{where}.{place}") for place, value in enumerate(part)]
        return lambda scope: [render(scope) for render in items]
    return compile_text(part, known, where) if isinstance(part, str) else lambda scope: part
