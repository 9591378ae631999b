"""What an answer says that no adapter recognises: its first words, without secrets and without the values of rows.

A proxy, a firewall or a page of maintenance says why in a body that is not the vendor's; without its words nobody could
tell what to mend. Such a body may show what was sent to it, so whatever the request held is left out.
"""

import base64
import binascii
import csv
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
import msgspec

MOST = 200
"""Characters that are passed on."""
_LOOKED_AT = 20_000  # characters of a body
_LARGEST = 500_000  # bytes of a request whose values are looked for; of a larger one no answer is passed on
_SHORT = 3  # a text shorter than that is in half of all words
_UNREADABLE = 0.1  # a larger part of signs that no text has: then it is none
_HIDDEN = re.compile(r"<(script|style|head|title)\b.*?</\1>|<!--.*?-->|<!doctype[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-z][^>]*>", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s\"'<>(){}\[\],;:=&]+(?:@|%40)[^\s\"'<>(){}\[\],;:=&]+")
_ESCAPED = re.compile(r"(?:\\u[0-9a-f]{4})+|\\[\"\\/bfnrt]", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_PLAIN = frozenset({"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"})
_json = msgspec.json.Decoder(float_hook=str)  # a number as it was written


def first_words(response: httpx.Response) -> str:
    """The words, on one line; empty if there are none that anybody could read."""
    try:
        text = response.text[:_LOOKED_AT]
    except (httpx.ResponseNotRead, LookupError):
        return ""
    return masked(text, response)


def masked(text: str, response: httpx.Response) -> str:
    """Words of an answer, on one line, without what its request held; empty if nobody can say what that was."""
    sent = _sent(response)
    if sent is None or not text or sum(not _is_readable(each) for each in text) > _UNREADABLE * len(text):
        return ""
    text = " ".join(_as_read(text).split())
    folded = text.casefold()
    for value in sorted({each for each in sent if each.casefold() in folded}, key=len, reverse=True):
        text = re.sub(_alone(value), "***", text, flags=re.IGNORECASE)
    text = _ADDRESS.sub("***", text)
    text = "".join(each for each in text if each.isprintable())
    return text if len(text) <= MOST else f"{text[:MOST].rsplit(' ', 1)[0]} ..."


def _is_readable(sign: str) -> bool:
    return sign != "\ufffd" and (sign.isprintable() or sign.isspace())


def _as_read(text: str) -> str:
    """Without tags, and without what JSON, HTML and URLs write in place of a sign: a value is known by its signs."""
    for _ in range(2):  # JSON inside JSON
        text = _ESCAPED.sub(_signs, text)
    return unquote(unescape(_without_tags(text)))


def _signs(escaped: re.Match[str]) -> str:
    try:
        return msgspec.json.decode(f'"{escaped[0]}"', type=str)
    except msgspec.DecodeError:  # half of a sign
        return escaped[0]


def _without_tags(text: str) -> str:
    if not _TAG.search(text):
        return text
    title = _TITLE.search(text)
    body = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    return f"{title[1] if title else ''} {body}"


def _alone(value: str) -> str:
    """A pattern that finds a value where it is no part of a longer word; not every script has blanks between words."""
    before = r"(?<![0-9A-Za-z])" if value[0].isalnum() else ""
    return before + re.escape(value) + (r"(?![0-9A-Za-z])" if value[-1].isalnum() else "")


def _sent(response: httpx.Response) -> set[str] | None:
    """What the request held, but for what every request holds; None if nobody can say."""
    try:
        request = response.request
    except RuntimeError:  # nobody sent it
        return set()
    try:
        content = request.content
    except httpx.RequestNotRead:
        return None
    if len(content) > _LARGEST:
        return None
    found = {*_headers(request), *(value for _, value in parse_qsl(request.url.query.decode("ascii", "replace")))}
    return {each for value in (*found, *_values(content)) for each in _forms(value) if len(each) >= _SHORT}


def _headers(request: httpx.Request) -> Iterator[str]:
    """Their values whole and in parts: `Bearer xyz` has a secret, and `Basic` two."""
    for name, value in request.headers.items():
        if name.lower() in _PLAIN:
            continue
        yield value
        yield from (part for part in re.split(r"[\s,;=]+", value) if part.lower() not in ("bearer", "basic", "token"))
        for part in value.split():
            yield part if "=" in part else ""
            try:
                yield from re.split(r"[:/]", base64.b64decode(part, validate=True).decode())
            except (binascii.Error, ValueError):
                continue


def _values(content: bytes) -> Iterator[str]:
    """The values in a body of JSON, of a form, or of anything else with words in it."""
    try:
        yield from _leaves(_json.decode(content))
        return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = content.decode("utf-8", "replace")
    yield from (value for _, value in parse_qsl(text))
    try:
        yield from (value for row in csv.reader(text.splitlines()) for value in row)
    except csv.Error:
        yield from text.split()


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from _leaves(inner)
        case list():
            for inner in value:
                yield from _leaves(inner)
        case bool() | None:
            return
        case _:
            yield str(value)


def _forms(value: str) -> Iterator[str]:
    """A value as it is once spaces are one, and the text inside one that is itself written as JSON or in a URL."""
    plain = " ".join(value.split())
    yield plain
    if "%" in plain:
        yield " ".join(unquote(value).split())
    if " " in plain:
        yield plain.replace(" ", "+")
    if _NUMBER.fullmatch(value):
        yield format(Decimal(value), "f")
        yield format(Decimal(value).normalize(), "f")
    if value[:1] in "{[":
        try:
            yield from _leaves(_json.decode(value))
        except msgspec.DecodeError:
            return
