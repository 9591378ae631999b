"""Attio in Dagster: where an account is, and which environment variables hold its secrets."""

from reverse_etl_assets import DestinationResource
from reverse_etl_attio import Attio


class AttioResource(DestinationResource):
    """A workspace of Attio; an access token signs in."""

    destination_type = Attio

    base_url: str = "https://api.attio.com"
    access_token: str
