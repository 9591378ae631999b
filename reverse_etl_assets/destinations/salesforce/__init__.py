"""Salesforce: sObject Collections for small change sets, Bulk API 2.0 jobs for large ones."""

from reverse_etl_assets.destinations.salesforce.destination import Salesforce
from reverse_etl_assets.destinations.salesforce.options import SalesforceConnection, SalesforceOptions

__all__ = ["Salesforce", "SalesforceConnection", "SalesforceOptions"]
