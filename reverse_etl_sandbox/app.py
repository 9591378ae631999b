"""The Starlette application: the vendors at their bases, the control endpoints and the page.

Salesforce is at ``/salesforce`` and, for SDKs that take only a host, at ``/services``; HubSpot at ``/hubspot`` and at
``/crm`` and ``/account-info``; the REST sink at ``/rest``; Slack at ``/slack/api``; Zendesk at ``/zendesk``; Google's
Data Manager API at ``/google_ads``.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from reverse_etl_sandbox.control import Control
from reverse_etl_sandbox.gate import TRANSPORT, Context, Gate, Receive, Scope, Send, Vendor
from reverse_etl_sandbox.google_ads import GoogleAds
from reverse_etl_sandbox.hubspot import HubSpot
from reverse_etl_sandbox.intercom import Intercom
from reverse_etl_sandbox.meta_ads import MetaAds
from reverse_etl_sandbox.page import Page
from reverse_etl_sandbox.rest import Rest
from reverse_etl_sandbox.salesforce import Salesforce
from reverse_etl_sandbox.slack import Slack
from reverse_etl_sandbox.stripe import Stripe
from reverse_etl_sandbox.zendesk import Zendesk


class Vendors:
    """The vendors of one sandbox, each by its name."""

    def __init__(self, context: Context) -> None:
        self.salesforce = Salesforce(context)
        self.hubspot = HubSpot(context)
        self.google_ads = GoogleAds(context)
        self.rest = Rest(context)
        self.meta_ads = MetaAds(context)
        self.slack = Slack(context)
        self.zendesk = Zendesk(context)
        self.intercom = Intercom(context)
        self.stripe = Stripe(context)
        self.vendors: dict[str, Vendor] = {vendor.name: vendor for vendor in vars(self).values()}


class App:
    """The ASGI application and its vendors."""

    def __init__(self, context: Context, vendors: dict[str, Vendor]) -> None:
        self.context, self.vendors = context, vendors
        routes: list[BaseRoute] = []
        for vendor in self.vendors.values():
            for start, prefix in vendor.mounts:
                routes.append(Route(f"{start}/{{path:path}}", Gate(vendor, context, prefix)))
        self.control = Control(context, self.vendors)
        page = Page(context, self.vendors, {name: vendor.mounts[0][0] for name, vendor in self.vendors.items()})
        self._starlette = Starlette(routes=[*routes, *self.control.routes(), *page.routes()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Dropping a connection needs the transport, which ASGI does not pass on.
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        await self._starlette(scope, receive, send)
