"""Google Ads Customer Match audiences, through the Data Manager API."""

from reverse_etl_assets.destinations.google_ads.destination import GoogleAds
from reverse_etl_assets.destinations.google_ads.options import GoogleAdsConnection, GoogleAdsOptions

__all__ = ["GoogleAds", "GoogleAdsConnection", "GoogleAdsOptions"]
