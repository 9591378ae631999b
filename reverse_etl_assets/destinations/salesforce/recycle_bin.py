"""Bringing records back from the Recycle Bin, which the SOAP API alone does. All pure.

"undelete()" and "UndeleteResult" of the SOAP API Developer Guide (read 2026-11-30): a result for each Id, in their
order; what was deleted with a record comes back with it. A record stays in the bin for 15 days. The REST API has no
such call.
"""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from reverse_etl_assets.errors import RetryLater

RECORDS_PER_CALL = 200
HEADERS = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER = "urn:partner.soap.sforce.com"
_RESULT = re.compile(r"<(?:\w+:)?result\b[^>]*>(.*?)</(?:\w+:)?result>", re.DOTALL)
_DONE = re.compile(r"<(?:\w+:)?success\b[^>]*>\s*true\s*<")
_FAULT = re.compile(r"<faultcode>\s*(?:\w+:)?(\w+)\s*</faultcode>\s*<faultstring>(.*?)</faultstring>", re.DOTALL)


def path(api_version: str) -> str:
    return f"/services/Soap/u/{api_version}"


def undelete(session: str, ids: Sequence[str]) -> bytes:
    """The request's body; a call of SOAP carries its session in itself."""
    listed = "".join(f"<p:ids>{escape(each)}</p:ids>" for each in ids)
    return (
        f'<s:Envelope xmlns:s="{_SOAP}" xmlns:p="{_PARTNER}"><s:Header><p:SessionHeader>'
        f"<p:sessionId>{escape(session)}</p:sessionId></p:SessionHeader></s:Header>"
        f"<s:Body><p:undelete>{listed}</p:undelete></s:Body></s:Envelope>"
    ).encode()


def brought_back(ids: Sequence[str], answer: str) -> dict[str, bool]:
    """Whether each record is back. Raises RetryLater for an answer without a result for each: it may be asked again."""
    results = _RESULT.findall(answer)
    if len(results) != len(ids):
        raise RetryLater("the answer does not have one result for each record")
    return {each: _DONE.search(result) is not None for each, result in zip(ids, results, strict=True)}


def fault(body: str) -> tuple[str, str] | None:
    """Code and words of an error, which SOAP tells in a 500."""
    found = _FAULT.search(body)
    return (found[1], found[2].strip().removeprefix(f"{found[1]}: ")) if found else None
