"""Slack's Web API below ``/slack/api/{method}``: messages in channels.

Answers are 200 with ``ok`` true or false; only limits and servers that fail have a status of their own. ``text`` and
``blocks`` are kept as they came. A message is a record of its channel's table, its ``ts`` is the record's id. Tokens
begin with ``xoxb-``; ``xoxb-revoked`` is one that was.

The channels: ``general``, ``customer-alerts`` and ``data-alerts``, which the app is in; ``random``, public, which it is
not in; ``old-alerts``, which is archived; ``board``, private, which it cannot see. ``U0ANN00001`` is a person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.limits import RollingWindow
from reverse_etl_sandbox.slack.blocks import block_problems, total_text
from reverse_etl_sandbox.slack.requests import arguments
from reverse_etl_sandbox.slack.workspace import APP, CHANNELS, PEOPLE, Channel, addressed, channel_of
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import INTEGRATION, PERSON, Entry, Table
from reverse_etl_sandbox.wire import Answer, Call, Router

Args = dict[str, Any]
JSON_MEDIA = "application/json; charset=utf-8"
MOST_TEXT, MOST_EDITED_TEXT, MOST_BLOCK_TEXT = 40_000, 4_000, 12_000
PAGE = 200
_PER_MINUTE = {
    "chat.update": 50,
    "chat.delete": 50,
    "conversations.info": 50,
    "conversations.list": 20,
    "users.lookupByEmail": 50,
}
_SCOPES = {"chat": "chat:write", "conversations": "channels:read", "users": "users:read.email"}


class Refusal(Exception):
    """``ok`` is false, with this code."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.content = {"ok": False, "error": code, **more}


SPARSE = (
    Sparse(r"chat\.", ("message", "text", "warning", "response_metadata.warnings")),
    Sparse(
        r"auth\.test", ("team", "user_id", "team_id", "bot_id", "is_enterprise_install", "warning", "response_metadata")
    ),
    Sparse(r"conversations\.", ("warning", "response_metadata.warnings")),
    Sparse(r"users\.lookupByEmail", ("user.team_id", "user.deleted", "user.profile", "warning", "response_metadata")),
    Sparse(r".", ("needed", "provided", "errors", "response_metadata.messages")),
)
"""Slack's own types call every part of an answer optional (ChatPostMessageResponse, docs.slack.dev, read 2026-11-30);
`ok`, `error`, `ts`, `channel` and the ids that were asked for are kept, for its documentation shows them in each."""


class Slack:
    """A workspace with one app."""

    name = "slack"
    title = "Slack"
    mounts: Mounts = (("/slack/api", "/slack/api"),)
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tables = {each.name: Table(each.name, self._new_ts) for each in CHANNELS}
        self._windows: dict[tuple[str, str], RollingWindow] = {}
        self._methods: dict[str, Callable[[Call, Args], Args]] = {
            "auth.test": lambda call, args: {"url": "https://shop.slack.com/", **APP},
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "conversations.info": lambda call, args: {"channel": self._told(self._visible(args))},
            "conversations.list": self._list,
            "users.lookupByEmail": self._look_up,
        }
        self.router = Router([("GET POST", "/{method}", self._call)])

    def is_open(self, call: Call) -> bool:
        return False

    def authenticate(self, call: Call) -> Answer | None:
        given = call.headers.get("authorization", "").removeprefix("Bearer ") or arguments(call).get("token", "")
        codes = {"": "not_authed", "xoxb-revoked": "token_revoked"}
        code = codes.get(given, "" if str(given).startswith("xoxb-") else "invalid_auth")
        return _answer({"ok": False, "error": code}) if code else None

    def admit(self, call: Call) -> Answer | None:
        window = self._window(call.path.strip("/"), arguments(call))
        if window is None or window.admit():
            return None
        call.limit = "rate"
        return _limited(window.wait())

    def _window(self, method: str, args: Args) -> RollingWindow | None:
        """One message in a channel in so many seconds; so many calls of a method in a minute."""
        settings = self.context.settings
        if method == "chat.postMessage":
            channel = addressed(str(args.get("channel", "")))
            key, limit, setting = channel.id if channel else "", 1, "slack_post_seconds"
        else:
            key, limit, setting = "", _PER_MINUTE.get(method, 0), "slack_minute_seconds"
        if not limit or not getattr(settings, setting):
            return None
        new = RollingWindow(lambda: limit, lambda: float(getattr(settings, setting)), self.context.clock)
        return self._windows.setdefault((method, key), new)

    def headers(self, call: Call) -> dict[str, str]:
        return {"X-OAuth-Scopes": self.context.settings.slack_scopes}

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        return _answer({"ok": False, "error": "unknown_method", "req_method": call.path.strip("/")})

    def failure(self, fault: Fault) -> Answer:
        """A `server_error` with status 200 is `fatal_error`; it is not carried out."""
        if fault.kind == "rate_limit":
            return _limited(1 if fault.retry_after is None else fault.retry_after)
        if fault.status == 200:
            return _answer({"ok": False, "error": "fatal_error"})
        return Answer(fault.status, b"<html>Slack is having a problem</html>", media="text/html")

    def expire_tokens(self) -> None:
        """Bot tokens do not end by themselves: the token is valid for the next request."""

    def expired(self) -> Answer:
        return _answer({"ok": False, "error": "token_expired"})

    def reset(self) -> None:
        self.tables.update({each.name: Table(each.name, self._new_ts) for each in CHANNELS})
        self._windows.clear()

    def edit(self, table: Table, record_id: str, values: Args) -> None:
        table.update(_must(table, record_id), values, self.context.clock(), PERSON)

    def add(self, table: Table, values: Args) -> str:
        if not values.get("text"):
            raise ValueError("a message needs a text")
        return table.insert({"user": "U0ANN00001", **values}, self.context.clock(), PERSON).id

    def remove(self, table: Table, record_id: str) -> None:
        table.purge(_must(table, record_id))
        table.counters.deleted += 1

    def _new_ts(self, sequence: int) -> str:
        return f"{int(self.context.clock())}.{sequence:06d}"

    # methods

    def _call(self, call: Call) -> Answer:
        name = call.params["method"]
        method = self._methods.get(name)
        if method is None:
            return self.not_found(call, [])
        try:
            self._check_scope(name)
            content = {"ok": True, **method(call, arguments(call))}
        except Refusal as refusal:
            content = refusal.content
        if call.headers.get("content-type", "") == "application/json":
            content |= {"warning": "missing_charset", "response_metadata": {"warnings": ["missing_charset"]}}
        return _answer(content)

    def _check_scope(self, method: str) -> None:
        provided = self.context.settings.slack_scopes
        needed = _SCOPES.get(method.partition(".")[0])
        if needed and needed not in provided.split(","):
            raise Refusal("missing_scope", needed=needed, provided=provided)

    def _post(self, call: Call, args: Args) -> Args:
        channel = addressed(str(args.get("channel", "")))
        public = channel and not channel.is_private and "chat:write.public" in self.context.settings.slack_scopes
        if channel is None or (channel.is_private and not channel.is_member):
            raise Refusal("channel_not_found")
        call.note("create", channel.name, 1)
        table = self.tables[channel.name]
        try:
            if channel.is_archived:
                raise Refusal("is_archived")
            if not (channel.is_member or public):
                raise Refusal("not_in_channel")
            content = _content(args)
        except Refusal:
            table.counters.refused += 1
            raise
        content["text"] = content["text"][:MOST_TEXT]
        thread = {"thread_ts": str(args["thread_ts"])} if args.get("thread_ts") else {}
        message = {**content, **thread, "user": APP["user_id"]}
        entry = table.insert(message, self.context.clock(), INTEGRATION)
        told = {"type": "message", "bot_id": APP["bot_id"], "ts": entry.id, **message}
        return {"channel": channel.id, "ts": entry.id, "message": told}

    def _update(self, call: Call, args: Args) -> Args:
        channel, table, entry = self._own(call, args, "update", "cant_update_message")
        try:
            if channel.is_archived:
                raise Refusal("is_inactive")
            content = _content(args)
            if len(content["text"]) > MOST_EDITED_TEXT:
                raise Refusal("msg_too_long")
        except Refusal:
            table.counters.refused += 1
            raise
        if "blocks" not in args:
            del content["blocks"]
        table.update(entry, content, self.context.clock(), INTEGRATION)
        return {"channel": channel.id, "ts": entry.id, "text": content["text"], "message": entry.values}

    def _delete(self, call: Call, args: Args) -> Args:
        channel, table, entry = self._own(call, args, "delete", "cant_delete_message")
        table.purge(entry)
        table.counters.deleted += 1
        return {"channel": channel.id, "ts": entry.id}

    def _own(self, call: Call, args: Args, operation: str, refused: str) -> tuple[Channel, Table, Entry]:
        """The app's own message that is meant. Unlike a new one it is addressed by the channel's id alone."""
        channel = channel_of(args.get("channel"))
        if channel is None:
            raise Refusal("channel_not_found")
        call.note(operation, channel.name, 1)
        table = self.tables[channel.name]
        entry = table.get(str(args.get("ts", "")))
        if entry is None:
            raise Refusal("message_not_found")
        if entry.values.get("user") != APP["user_id"]:
            table.counters.refused += 1
            raise Refusal(refused)
        return channel, table, entry

    def _visible(self, args: Args) -> Channel:
        channel = channel_of(args.get("channel"))
        if channel is None or (channel.is_private and not channel.is_member):
            raise Refusal("channel_not_found")
        return channel

    def _list(self, call: Call, args: Args) -> Args:
        types = str(args.get("types") or "public_channel").split(",")
        provided = self.context.settings.slack_scopes
        if "private_channel" in types and "groups:read" not in provided.split(","):
            raise Refusal("missing_scope", needed="groups:read", provided=provided)
        shown = [
            each
            for each in CHANNELS
            if not each.is_im and (each.is_member or not each.is_private)
            if ("private_channel" if each.is_private else "public_channel") in types
        ]
        limit, start = int(args.get("limit") or PAGE), int(args.get("cursor") or 0)
        if not 0 < limit < 1_000:
            raise Refusal("invalid_limit")
        end = start + min(limit, self.context.settings.slack_page)
        cursor = str(end) if end < len(shown) else ""
        return {
            "channels": [self._told(each) for each in shown[start:end]],
            "response_metadata": {"next_cursor": cursor},
        }

    def _look_up(self, call: Call, args: Args) -> Args:
        for person, email in PEOPLE.items():
            if email == str(args.get("email", "")).lower():
                return {
                    "user": {"id": person, "team_id": APP["team_id"], "deleted": False, "profile": {"email": email}}
                }
        raise Refusal("users_not_found")

    @staticmethod
    def _told(channel: Channel) -> Args:
        return {name: getattr(channel, name) for name in Channel.__dataclass_fields__}


def _answer(content: Args) -> Answer:
    return Answer(200, content, media=JSON_MEDIA)


def _limited(seconds: int) -> Answer:
    return Answer(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(seconds)}, JSON_MEDIA)


def _content(args: Args) -> Args:
    text, blocks = args.get("text") or "", args.get("blocks") or []
    if not text and not blocks:
        raise Refusal("no_text")
    if not isinstance(text, str):
        raise Refusal("invalid_arguments")
    if problems := block_problems(blocks):
        raise Refusal(
            "invalid_blocks", errors=problems, response_metadata={"messages": [f"[ERROR] {p}" for p in problems]}
        )
    if total_text(blocks) > MOST_BLOCK_TEXT:
        raise Refusal("msg_blocks_too_long")
    return {"text": text, "blocks": blocks}


def _must(table: Table, record_id: str) -> Entry:
    entry = table.get(record_id)
    if entry is None:
        raise KeyError(record_id)
    return entry
