"""Stripe: customers with their billing metadata, and usage as meter events."""

from reverse_etl_assets.destinations.stripe.destination import Stripe
from reverse_etl_assets.destinations.stripe.options import StripeConnection, StripeOptions

__all__ = ["Stripe", "StripeConnection", "StripeOptions"]
