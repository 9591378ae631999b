"""The public names of the project. Each is imported when it is first asked for.

`reverse_etl_assets.destinations` has those for authors of destinations, `reverse_etl_assets.testing` those for their
tests. What is in none of the three may change in any version.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from reverse_etl_assets.dbt.settings import DbtSettings as DbtSettings
    from reverse_etl_assets.deployment.alerts import Alerts as Alerts
    from reverse_etl_assets.errors import (
        CheckFailed as CheckFailed,
        ConfigurationError as ConfigurationError,
        DestinationError as DestinationError,
        ReverseEtlError as ReverseEtlError,
        SpecError as SpecError,
        StateError as StateError,
        SyncBusy as SyncBusy,
    )
    from reverse_etl_assets.journal.records import Run as Run
    from reverse_etl_assets.orchestration.build import (
        build_sync_assets as build_sync_assets,
        build_sync_definitions as build_sync_definitions,
        build_sync_specs as build_sync_specs,
    )
    from reverse_etl_assets.orchestration.component import ReverseEtlComponent as ReverseEtlComponent
    from reverse_etl_assets.orchestration.resources import DestinationResource as DestinationResource
    from reverse_etl_assets.orchestration.translator import (
        DagsterReverseEtlTranslator as DagsterReverseEtlTranslator,
        SyncTranslatorData as SyncTranslatorData,
    )
    from reverse_etl_assets.orchestration.vendor_resources import (
        GoogleAdsResource as GoogleAdsResource,
        HubSpotResource as HubSpotResource,
        IntercomResource as IntercomResource,
        MetaAdsResource as MetaAdsResource,
        PostgresResource as PostgresResource,
        SalesforceResource as SalesforceResource,
        SlackResource as SlackResource,
        StripeResource as StripeResource,
        WebhookResource as WebhookResource,
        ZendeskResource as ZendeskResource,
    )
    from reverse_etl_assets.previews.preview import Preview as Preview, preview as preview
    from reverse_etl_assets.project import Project as Project, remember_dbt_results as remember_dbt_results
    from reverse_etl_assets.readback.verification import verify as verify
    from reverse_etl_assets.runs.report import Report as Report
    from reverse_etl_assets.runs.run import run_sync as run_sync
    from reverse_etl_assets.runs.undo import undo_run as undo_run
    from reverse_etl_assets.spec.loading import load_syncs as load_syncs
else:
    from reverse_etl_assets.lazy_names import lazy_names

    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
