"""Attio, by its REST API v2: people, companies, deals and objects of your own, one record a request."""

from reverse_etl_attio.destination import Attio, AttioConnection

__all__ = ["Attio", "AttioConnection"]
