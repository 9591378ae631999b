"""The Recycle Bin: ``undelete()`` of the SOAP API, whose calls carry their session in the body.

Source: SOAP API Developer Guide ("undelete()", "API Fault Element"); a deleted record stays for 15 days.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.salesforce.ids import normal_id
from reverse_etl_sandbox.salesforce.records import Records
from reverse_etl_sandbox.salesforce.schema import OBJECTS
from reverse_etl_sandbox.store import Entry, Table
from reverse_etl_sandbox.wire import Answer, Call, Handler

PATH = "/services/Soap/u/"
MEDIA = "text/xml;charset=UTF-8"
MOST = 200
KEPT_SECONDS = 15 * 86_400
_IDS = re.compile(rb"<(?:\w+:)?ids>\s*([^<]*?)\s*</")
_SESSION = re.compile(rb"<(?:\w+:)?sessionId>\s*([^<]*?)\s*</")


class RecycleBin:
    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [("POST", f"{PATH}{{version}}", self._undelete)]

    def refusal(self, call: Call, known: Callable[[str], bool]) -> Answer | None:
        session = _SESSION.search(call.body)
        return None if session and known(session[1].decode()) else expired()

    def _undelete(self, call: Call) -> Answer:
        ids = [each.decode() for each in _IDS.findall(call.body)]
        call.note("undelete", "", len(ids))
        if b"undelete" not in call.body or not 0 < len(ids) <= MOST:
            return fault("EXCEEDED_ID_LIMIT", f"from 1 to {MOST} records in a call")
        results = "".join(map(self._result, ids))
        return _envelope(200, f'<undeleteResponse xmlns="urn:partner.soap.sforce.com">{results}</undeleteResponse>')

    def _result(self, record_id: str) -> str:
        kind = next((kind for kind in OBJECTS.values() if kind.prefix == record_id[:3]), None)
        table = self._records.tables[kind.name] if kind else None
        entry = table.entries.get(normal_id(record_id) or "") if table else None
        if table is None or entry is None or not entry.archived or self._too_late(entry):
            return _refused("UNDELETE_FAILED", "entity is not in the recycle bin")
        if self._is_taken(table, entry):
            return _refused("DUPLICATE_VALUE", "duplicate value found")
        table.undo_archive(entry)()
        table.counters.deleted += 1  # it was, and came back
        return f"<result><id>{entry.id}</id><success>true</success></result>"

    def _too_late(self, entry: Entry) -> bool:
        return self._context.clock() - entry.updated_at > KEPT_SECONDS

    def _is_taken(self, table: Table, entry: Entry) -> bool:
        unique = [part.name for part in OBJECTS[table.name].fields if part.unique]
        return any(table.find(name, entry.values[name]) for name in unique if entry.values.get(name))


def expired() -> Answer:
    return fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader")


def fault(code: str, text: str) -> Answer:
    told = f"<faultcode>sf:{code}</faultcode><faultstring>{code}: {text}</faultstring>"
    return _envelope(500, f"<soapenv:Fault>{told}</soapenv:Fault>")


def _refused(code: str, text: str) -> str:
    error = f"<errors><message>{text}</message><statusCode>{code}</statusCode></errors>"
    return f'<result>{error}<id xsi:nil="true"/><success>false</success></result>'


def _envelope(status: int, body: str) -> Answer:
    whole = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
        ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>'
    )
    return Answer(status, whole.encode(), media=MEDIA)
