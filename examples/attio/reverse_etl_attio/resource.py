"""Attio in Dagster: which environment variable holds the access token of a workspace."""

from reverse_etl_assets import DestinationResource
from reverse_etl_attio import Attio


class AttioResource(DestinationResource):
    """A workspace of Attio; an access token signs in."""

    destination_type = Attio

    base_url: str = "https://api.attio.com"
    access_token: str
