"""10,000 rows to each vendor at its own limits, in virtual time: the share of the allowed rate, and refusals for it.

To the ad platforms 10,000 rows are one request.
"""

from pathlib import Path

from reverse_etl_assets.testing.pace import PaceContract
from tests.destinations.test_hubspot_pace import TestPace as HubSpot
from tests.destinations.test_intercom_contract import TestIntercomContacts as Intercom
from tests.destinations.test_slack_contract import TestPostsOnly as Slack
from tests.destinations.test_stripe_contract import TestMeterEvents as StripeMeterEvents, TestStripe as StripeCustomers
from tests.destinations.test_webhook_reading import TestReadInPages as Webhook
from tests.destinations.test_zendesk import TestUsers as ZendeskUsers

ROWS = 10_000
VENDORS: tuple[type[PaceContract], ...] = (
    HubSpot,
    Intercom,
    StripeCustomers,
    StripeMeterEvents,
    Slack,
    ZendeskUsers,
    Webhook,
)


def run(home: Path, vendor: type[PaceContract]) -> dict[str, object]:
    paced = vendor().pace(ROWS, home)
    return {
        "destination": vendor.destination.__name__,
        "object": vendor.target.object,
        "rows": f"{sum(paced.statuses.values()):,}",
        "requests": f"{paced.requests:,}",
        "minutes": f"{paced.seconds / 60:.1f}",
        "allowed rate used": f"{paced.used:.1%}",
        "429": paced.refused,
    }
