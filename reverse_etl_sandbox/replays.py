"""Answers kept by Idempotency-Key (IETF draft "The Idempotency-Key HTTP Header Field")."""

from __future__ import annotations

import hashlib

from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused


class Replays:
    """Runs a call once per method, path and Idempotency-Key; a repetition gets the first answer again."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Answer]] = {}

    def once(self, call: Call, handler: Handler) -> Answer:
        key = call.headers.get("idempotency-key")
        if not key:
            return handler(call)
        scope = f"{call.method} {call.path} {key}"
        digest = hashlib.blake2b(call.body, digest_size=16).hexdigest()
        known = self._kept.get(scope)
        if known is None:
            try:
                answer = handler(call)
            except Refused as refused:
                answer = refused.answer
            self._kept[scope] = digest, Answer(answer.status, answer.body(), {}, answer.media)
            return answer
        call.note("replay", call.params["collection"])
        if known[0] != digest:
            told = {"code": "idempotency_key_reused", "message": "This Idempotency-Key came with another body before"}
            return Answer(422, {"error": told})
        first = known[1]
        return Answer(first.status, first.content, {"Idempotent-Replayed": "true"}, first.media)

    def clear(self) -> None:
        self._kept.clear()
