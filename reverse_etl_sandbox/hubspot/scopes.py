"""HubSpot's scopes: what a token may do. The setting ``hubspot_missing_scope`` takes one away.

Source: HubSpot's reference of scopes; the body is that of its error handling guide, or has the scopes at the top, as
answers of some of its APIs have them.
"""

from __future__ import annotations

import re

from reverse_etl_sandbox.hubspot.requests import failure
from reverse_etl_sandbox.wire import Answer, Call

_PATH = re.compile(r"/crm/(?:v\d/)?(?P<api>[a-z]+)(?:/20\d\d-\d\d)?(?:/(?P<object>[^/]+))?")
_AREAS = {"objects": "crm.objects.{}", "associations": "crm.objects.{}", "properties": "crm.schemas.{}"}


def needed(call: Call) -> str:
    """`crm.objects.contacts.write`; empty for what needs none."""
    found = _PATH.match(call.path)
    if found is None:
        return ""
    area = _AREAS.get(found["api"], f"crm.{found['api']}").format(found["object"])
    reads = call.method == "GET" or call.path.endswith(("/search", "/batch/read"))
    return f"{area}.{'read' if reads else 'write'}"


def refusal(scope: str) -> Answer:
    told = failure(403, "This app hasn't been granted all required scopes to make this call.", "MISSING_SCOPES")
    context = {"requiredGranularScopes": [scope]}
    if scope.startswith("crm.lists"):
        told.content |= {"context": context}
        return told
    error = {"message": "One or more of the following scopes are required.", "context": context}
    told.content |= {"errors": [error], "links": {"scopes": "https://developers.hubspot.com/scopes"}}
    return told
