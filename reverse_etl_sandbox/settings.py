"""What can be set while the sandbox runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(slots=True)
class Settings:
    """Defaults are the vendors' published ones.

    Attributes:
        seed: orders the answers of HubSpot, Bulk API 2.0 and the REST sink.
        latency_ms: added to every vendor call, milliseconds.
        salesforce_oldest_version: of the API; older ones are retired (Summer '25 ended those before 31.0).
        salesforce_newest_version: of the API that the org has; 68.0 is Winter '27.
        salesforce_daily_requests: 100,000 a day is the base of Enterprise Edition (Salesforce Developer Limits
            and Allocations Quick Reference).
        salesforce_other_requests: of the day, by other tools of the account.
        salesforce_duplicate_rule: whether a rule alerts to a second record with the same address.
        salesforce_bulk_polls: how many polls of a job say InProgress before JobComplete.
        salesforce_bulk_bytes: of a job's data after base64 encoding (Bulk API 2.0 limits: 150 MB).
        hubspot_ten_second_requests: 190 is Professional and Enterprise (HubSpot API usage guidelines).
        hubspot_daily_requests: 625,000 is Professional (HubSpot API usage guidelines).
        hubspot_other_requests: of the day, by other tools of the account.
        hubspot_search_requests: per second, for the search endpoints (HubSpot CRM search guide).
        hubspot_missing_scope: a scope that the token lacks, such as crm.lists.write; empty means none.
        hubspot_key_expired: whether the service key has expired.
        hubspot_rule: which property a value of another one asks for, ``lifecyclestage=customer:company``; empty means
            no rule (HubSpot's developer changelog, "CRM API Write Validation Enforcement").
        hubspot_search_lag_seconds: how long search still shows the record as it was before a write.
        slack_post_seconds: in which a channel takes one message; 0 means no limit (docs.slack.dev, Rate limits).
        slack_minute_seconds: how long the minute is in which other methods are counted; 0 means no limits.
        slack_page: channels in one answer of conversations.list, at most.
        slack_scopes: of the token; names with commas between.
        zendesk_requests: in ``zendesk_window_seconds``; 200 in 60 seconds is the plan Team (Zendesk API reference,
            Rate limits).
        zendesk_job_polls: how many polls of a job say working before completed.
        zendesk_open_jobs: queued or running at once (Zendesk API reference, Rate limits: Job limit).
        zendesk_bulk_import: whether Zendesk's support has enabled the import of users (off in a new account).
        intercom_ten_second_requests: 1,667 is a private app (10,000 a minute; Intercom "Rate limiting").
        intercom_archive_seconds: how long a company is still there after its delete was answered.
        intercom_search_lag_seconds: how long search does not know a new contact.
        stripe_endpoint_requests: per second, for one endpoint (Stripe docs, Rate limits).
        stripe_test_requests: per second, for a whole account in test mode; ``stripe_live_requests`` in live mode.
        stripe_searches: per second (Stripe docs, Search).
        stripe_live_events: v1 meter events per second in live mode (Stripe docs, Record usage for billing).
        meta_ads_oldest_version: of the Marketing API; v24.0 ended on 2026-11-10 ("Marketing API version history",
            read 2026-11-30).
        meta_ads_newest_version: v27.0 came on 2026-11-04.
        stripe_newest_version: the day of the newest version of the API; a later one is refused.
        stripe_search_lag_seconds: how long search shows customers as they were before ("in under 1 minute").
        stripe_permissions: what restricted keys may do, with blanks between; empty means everything.
        stripe_report_samples: events that a report names, of each kind of error. Stripe does not say how many.
        meta_ads_calls: in a rolling hour; 5,000 is standard access (Graph API, Rate Limits, Custom Audience).
        meta_ads_app_secret: that calls have to be signed with; empty means none.
        meta_ads_replace_seconds: how long an audience is still being replaced after the last batch.
        rest_requests: requests in ``rest_window_seconds``; 0 means no limit.
        rest_token: the bearer token the REST sink asks for; empty means none.
        rest_max_rows: rows in one request of the REST sink.
        google_ads_minute_requests: 300 a minute for writes and again for reads (Data Manager API limits and quotas).
        google_ads_daily_requests: 100,000 a day, likewise.
        google_ads_polls: how many polls of a request say PROCESSING first.
        google_ads_consent_needed: as for people in the European Economic Area.
        google_ads_named_members: members of a refused request that the answer names at most.
        google_ads_warned_members: members of a request of which a field is left out with a warning, from its beginning.
        google_ads_scope: whether tokens have the scope that is asked for.
        google_ads_enabled: whether the project has the API.
        sparse: answers without the parts that specifications call optional, each documented 2xx status in turn.
        store_records: False lets the REST sink count rows without keeping them.
    """

    seed: int = 0
    latency_ms: float = 0.0
    salesforce_oldest_version: int = 31
    salesforce_newest_version: int = 68
    salesforce_daily_requests: int = 100_000
    salesforce_other_requests: int = 0
    salesforce_duplicate_rule: bool = False
    salesforce_bulk_polls: int = 1
    salesforce_bulk_bytes: int = 150 * 1024 * 1024
    hubspot_ten_second_requests: int = 190
    hubspot_daily_requests: int = 625_000
    hubspot_other_requests: int = 0
    hubspot_search_requests: int = 5
    hubspot_missing_scope: str = ""
    hubspot_key_expired: bool = False
    hubspot_rule: str = ""
    hubspot_search_lag_seconds: float = 0.0
    slack_post_seconds: float = 1.0
    slack_minute_seconds: float = 60.0
    slack_page: int = 200
    slack_scopes: str = "chat:write,channels:read,groups:read,users:read.email"
    zendesk_requests: int = 200
    zendesk_window_seconds: float = 60.0
    zendesk_job_polls: int = 1
    zendesk_open_jobs: int = 30
    zendesk_bulk_import: bool = True
    intercom_ten_second_requests: int = 1_667
    intercom_archive_seconds: float = 0.0
    intercom_search_lag_seconds: float = 0.0
    stripe_endpoint_requests: int = 25
    stripe_test_requests: int = 25
    stripe_live_requests: int = 100
    stripe_searches: int = 20
    stripe_live_events: int = 1_000
    meta_ads_oldest_version: int = 25
    meta_ads_newest_version: int = 27
    stripe_newest_version: str = "2026-12-31"
    stripe_search_lag_seconds: float = 60.0
    stripe_permissions: str = ""
    stripe_report_samples: int = 10
    meta_ads_calls: int = 5_000
    meta_ads_app_secret: str = ""
    meta_ads_replace_seconds: float = 0.0
    rest_requests: int = 0
    rest_window_seconds: float = 1.0
    rest_token: str = ""
    rest_max_rows: int = 1_000
    google_ads_minute_requests: int = 300
    google_ads_daily_requests: int = 100_000
    google_ads_polls: int = 1
    google_ads_consent_needed: bool = True
    google_ads_named_members: int = 10_000
    google_ads_warned_members: int = 0
    google_ads_scope: bool = True
    google_ads_enabled: bool = True
    sparse: bool = False
    store_records: bool = True

    def change(self, changes: dict[str, Any]) -> None:
        """Set several at once; all or none.

        Raises:
            ValueError: an unknown name, or a value of the wrong type.
        """
        checked = {name: self._checked(name, value) for name, value in changes.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def reset(self) -> None:
        self.change(asdict(Settings()))

    def describe(self) -> dict[str, Any]:
        """All settings; secrets are shown as set or not."""
        secrets = ("rest_token", "meta_ads_app_secret")
        return asdict(self) | {name: "set" if getattr(self, name) else "" for name in secrets}

    def _checked(self, name: str, value: Any) -> Any:
        known = {part.name for part in fields(self)}
        if name not in known:
            raise ValueError(f"setting {name!r} is unknown; settings are {', '.join(sorted(known))}")
        current = getattr(Settings(), name)
        if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not type(current):
            raise ValueError(f"setting {name!r} takes {type(current).__name__}, got {type(value).__name__}")
        if isinstance(value, (int, float)) and value < 0:
            raise ValueError(f"setting {name!r} must not be negative, got {value}")
        return value
