"""Meta custom audiences of customer lists: people are added, removed, or replaced as a whole."""

from reverse_etl_assets.destinations.meta_ads.destination import MetaAds, MetaAdsConnection, MetaAdsOptions

__all__ = ["MetaAds", "MetaAdsConnection", "MetaAdsOptions"]
