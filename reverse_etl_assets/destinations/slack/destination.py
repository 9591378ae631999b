"""Slack: a message a row, changed and deleted with its row, or a digest of many rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

import httpx
from pydantic import SecretStr

from reverse_etl_assets.destinations.auth import BearerToken
from reverse_etl_assets.destinations.base import ConnectionSettings, HttpDestination, encode_json
from reverse_etl_assets.destinations.slack.answers import GONE, answered, other_kind, refusal
from reverse_etl_assets.destinations.slack.messages import DIGEST_ROWS, Messages, SlackOptions
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    CheckFailed,
    ConfigurationError,
    RequestRejected,
    RetryLater,
)
from reverse_etl_assets.records import Batch, Capabilities, Operation, Outcome, Reason, Record, Status, Target

POSTS_PER_SECOND = 0.96
"""One message a second in a channel (docs.slack.dev, Rate limits, August 2026); a little less, because requests bunch
up on their way."""
TIER_3_PER_SECOND = 0.8
"""chat.update, chat.delete and users.lookupByEmail are Tier 3, 50 requests a minute of each for an app in a workspace
(same page, and the methods' own); a little less."""
CHANNELS_A_PAGE = 999
""""Must be an integer under 1000" (docs.slack.dev, conversations.list, August 2026)."""

_CHANNEL_ID = re.compile(r"[CDG][A-Z0-9]{7,}")
_PERSON_ID = re.compile(r"[UW][A-Z0-9]{7,}")


class SlackConnection(ConnectionSettings):
    """A Slack workspace; an app's bot token signs in."""

    base_url: str = "https://slack.com/api"
    token: SecretStr
    """The app's Bot User OAuth Token, `xoxb-...`, with the scopes chat:write, channels:read and, for private channels,
    groups:read."""


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="docs.slack.dev, changelog, breaking changes",
)


class Slack(HttpDestination[SlackConnection, SlackOptions]):
    """Messages; the object is a channel, by name or id.

    Slack finds no message by a key of ours, so the synced row keeps where its message is, `C123:1503435956.000247`: an
    upsert with that id changes the message, one without posts it. To post is not idempotent and has no idempotency key;
    a row whose answer is lost is held for a person.
    """

    Connection = SlackConnection
    Options = SlackOptions
    kind = "slack"
    api = API
    after_deletion = "Slack keeps a deleted message as long as the workspace's retention settings and exports say."

    def __init__(
        self, connection: SlackConnection, target: Target, options: SlackOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        self._messages = Messages(target, options)
        self._channel = _name(target)
        self._workspace = ""
        self._people: dict[str, str] = {}

    @classmethod
    def capabilities_for(cls, target: Target, options: SlackOptions) -> Capabilities:
        """The limit of posts is a channel's, that of edits is the app's: a sync that does both keeps to the lower one,
        shared with all syncs that edit. So does, on its own, a sync whose rows name the channel or a person.
        """
        Messages(target, options)  # raises SpecError for an unknown placeholder
        able = {Operation.INSERT} if options.digest else {Operation.INSERT, Operation.UPSERT, Operation.DELETE}
        edits = bool(target.operations & {Operation.UPSERT, Operation.DELETE})
        return Capabilities(
            operations=frozenset(able),
            idempotent=frozenset(able & {Operation.DELETE}),
            idempotent_by_id=frozenset(able & {Operation.UPSERT}),
            max_rows=DIGEST_ROWS if options.digest else 1,
            max_bytes=1_000_000,  # our choice: the text is far below it
            requests_per_second=TIER_3_PER_SECOND if edits or options.channel else POSTS_PER_SECOND,
            rate_scope="chat.update" if edits else "" if options.channel else _name(target),
            refuses_whole=True,  # a digest is one message
            concurrency=1,  # messages in the order of rows, and never more than one of them in doubt
        )

    @classmethod
    def link(cls, base_url: str, target: Target) -> str | None:
        return _link(base_url, _name(target))

    @classmethod
    def record_link(
        cls, base_url: str, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]
    ) -> str | None:
        """The message, as "Copy link" in Slack has it: below the workspace's own address, which the check learned."""
        channel, _, ts = destination_id.partition(":")
        workspace = next(iter(learned.get("workspace", ())), "")
        if not workspace or not base_url.startswith("https://"):
            return _link(base_url, channel)
        return f"{workspace.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}"

    def auth(self) -> httpx.Auth:
        return BearerToken(self.connection.token)

    # check

    def warnings(self) -> Sequence[str]:
        kind = other_kind(self.connection.token.get_secret_value())
        return [*super().warnings(), *([f"{kind}."] if kind else [])]

    async def check(self) -> None:
        """Token, scope, and the channel: that it exists, is not archived, and lets the app in.

        A person, as the object of direct messages, is not looked up.
        """
        response = await self.read(self.client.build_request("GET", "/auth.test"))
        try:
            app = self._good(response)
        except AuthenticationFailed as error:
            kind = other_kind(self.connection.token.get_secret_value())
            raise AuthenticationFailed(f"{bare(error)}. {kind}." if kind else str(error)) from error
        granted = response.headers.get("X-OAuth-Scopes")
        scopes = {scope.strip() for scope in (granted or "").split(",")}
        self._workspace = str(app.get("url") or "")
        problems = []
        if granted and "chat:write" not in scopes:
            problems.append(
                f"The token needs the scope `chat:write` and has `{granted}`: add it, and install the app anew."
            )
        if not _PERSON_ID.fullmatch(self._channel):
            problems += await self._channel_problems(str(app.get("user", "app")), scopes)
        if problems:
            raise CheckFailed(problems)

    async def _channel_problems(self, bot: str, scopes: set[str]) -> list[str]:
        shown = self.target.object
        found, near = await (self._by_id() if _CHANNEL_ID.fullmatch(self._channel) else self._by_name(scopes))
        if found is None:
            hint = f" Did you mean `{near}`?" if near else ""
            return [
                f"There is no channel `{shown}` that the app can see.{hint}"
                f" A private one shows once the app is in it: write `/invite @{bot}` there."
            ]
        self._channel = str(found["id"])
        if found.get("is_archived"):
            return [f"The channel `{shown}` is archived: unarchive it, or name another one as `object`."]
        public = not found.get("is_private") and "chat:write.public" in scopes
        if found.get("is_im") or found.get("is_member") or public:
            return []
        return [f"The app is not in the channel `{shown}`: write `/invite @{bot}` there."]

    async def _by_id(self) -> tuple[Mapping[str, Any] | None, str]:
        try:
            return (await self._ask("conversations.info", channel=self._channel))["channel"], ""
        except ConfigurationError:
            return None, ""

    async def _by_name(self, scopes: set[str]) -> tuple[Mapping[str, Any] | None, str]:
        """The channel of that name, or the name that comes nearest. One request for each thousand channels.

        To ask for private ones without the scope for them is refused as a whole.
        """
        types = "public_channel,private_channel" if "groups:read" in scopes else "public_channel"
        names: list[str] = []
        cursor = ""
        while True:
            page = await self._ask("conversations.list", types=types, limit=CHANNELS_A_PAGE, cursor=cursor)
            for channel in page.get("channels") or ():
                if channel["name"] == self._channel:
                    return channel, ""
                names.append(channel["name"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return None, next(iter(get_close_matches(self._channel, names, n=1)), "")

    async def _ask(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        given = {name: value for name, value in arguments.items() if value != ""}
        return self._good(await self.read(self.client.build_request("GET", f"/{method}", params=given)))

    @staticmethod
    def _good(response: httpx.Response) -> Mapping[str, Any]:
        """The answer to a question. Nothing about it is ambiguous: it can be asked again."""
        try:
            answer = answered(response)
            if answer["ok"]:
                return answer
            raise refusal(answer, response)
        except Ambiguous as error:
            raise RetryLater(str(error)) from error

    def learned(self) -> Mapping[str, list[str]]:
        return {"channel": [self._channel], "workspace": [self._workspace]}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        self._channel = learned.get("channel", [self._channel])[0]

    # send

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        """Finds the person first, if the row names one by e-mail address; that only reads."""
        record = batch.records[0]
        address = "" if record.destination_id or self.options.digest else self._messages.channel(record)
        if "@" in address and address not in self._people:
            answer = await self._ask("users.lookupByEmail", email=address)
            self._people[address] = str(answer["user"]["id"])
        return await super().send(batch)

    def build_request(self, batch: Batch) -> httpx.Request:
        record = batch.records[0]
        if batch.operation is Operation.DELETE:
            return self._post("chat.delete", _place(record))
        content = self._messages.content(batch)
        if record.destination_id:
            # Left out, `parse` becomes `client` with the change, and names of people and channels become links.
            return self._post("chat.update", {**_place(record), **content, "parse": "none"})
        channel = self._messages.channel(record) or self._channel
        place = {"channel": self._people.get(channel, channel), "thread_ts": self._messages.thread(record)}
        given = {name: value for name, value in {**place, **content}.items() if value}
        return self._post("chat.postMessage", {**given, "unfurl_links": False, "unfurl_media": False})

    def _post(self, method: str, body: Mapping[str, Any]) -> httpx.Request:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return self.client.build_request("POST", f"/{method}", content=encode_json(body), headers=headers)

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        answer = answered(response)
        record = batch.records[0]
        if not answer["ok"]:
            if answer.get("error") == GONE and record.destination_id:
                gone = Reason.ALREADY_GONE if batch.operation is Operation.DELETE else Reason.NOT_FOUND
                yield Outcome.skipped(record.key, gone, "somebody deleted the message", record.destination_id)
                return
            raise refusal(answer, response, own_channel=bool(self.options.channel) or self._is_elsewhere(record))
        if batch.operation is Operation.DELETE:
            yield Outcome(record.key, Status.DELETED, destination_id=record.destination_id)
            return
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise Ambiguous("the answer names no message")
        status = Status.UPDATED if record.destination_id else Status.CREATED
        for each in batch.records:
            yield Outcome(each.key, status, destination_id=f"{channel}:{ts}")

    def _is_elsewhere(self, record: Record) -> bool:
        """The row's message is in another channel than those of new rows."""
        return bool(record.destination_id) and not str(record.destination_id).startswith(f"{self._channel}:")


def _name(target: Target) -> str:
    return target.object.removeprefix("#")


def _place(record: Record) -> dict[str, str]:
    """Where the row's message is. Raises RequestRejected if nobody knows."""
    if record.destination_id is None:
        raise RequestRejected("it is not known which message this is: delete it in Slack", "no_message")
    channel, _, ts = record.destination_id.partition(":")
    return {"channel": channel, "ts": ts}


def _link(base_url: str, channel: str) -> str | None:
    """docs.slack.dev, Deep linking into Slack, August 2026: it leads into the app, whatever the workspace's name."""
    return f"https://slack.com/app_redirect?channel={channel}" if base_url.startswith("https://slack.com") else None
