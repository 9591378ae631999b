"""For authors of destinations: the words of the contract, what an HTTP destination inherits, errors by what to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reverse_etl_assets.accounts.daily import Budget as Budget
    from reverse_etl_assets.accounts.transport import Transport as Transport
    from reverse_etl_assets.destinations.abilities import (
        NOTHING_KNOWN as NOTHING_KNOWN,
        FindsRecords as FindsRecords,
        JobState as JobState,
        Part as Part,
        ReadsRecords as ReadsRecords,
        RestoresRecords as RestoresRecords,
        RunsJobs as RunsJobs,
    )
    from reverse_etl_assets.destinations.auth import (
        BearerToken as BearerToken,
        ClientCredentials as ClientCredentials,
        FetchedToken as FetchedToken,
        HeaderToken as HeaderToken,
        JwtBearer as JwtBearer,
        RefreshToken as RefreshToken,
    )
    from reverse_etl_assets.destinations.base import (
        Account as Account,
        BaseDestination as BaseDestination,
        HttpDestination as HttpDestination,
    )
    from reverse_etl_assets.destinations.bodies import decode_json as decode_json, encode_json as encode_json
    from reverse_etl_assets.destinations.connection import (
        ConnectionSettings as ConnectionSettings,
        SyncOptions as SyncOptions,
    )
    from reverse_etl_assets.destinations.registry import (
        destination_type as destination_type,
        destination_types as destination_types,
    )
    from reverse_etl_assets.destinations.schema import (
        CHANGES as CHANGES,
        CREATES as CREATES,
        Accepts as Accepts,
        Field as Field,
        Forms as Forms,
        field_problems as field_problems,
        nearest as nearest,
        sends as sends,
    )
    from reverse_etl_assets.destinations.status_errors import (
        error_by_status as error_by_status,
        retry_after as retry_after,
        status_words as status_words,
    )
    from reverse_etl_assets.destinations.values import (
        NUMBERS as NUMBERS,
        canonical as canonical,
        json_text as json_text,
        key_form as key_form,
        key_value as key_value,
        plain_text as plain_text,
        same_value as same_value,
    )
    from reverse_etl_assets.destinations.vendor_api import VendorApi as VendorApi
    from reverse_etl_assets.errors import (
        Ambiguous as Ambiguous,
        AuthenticationFailed as AuthenticationFailed,
        CheckFailed as CheckFailed,
        ConfigurationError as ConfigurationError,
        ContractViolation as ContractViolation,
        DestinationError as DestinationError,
        JobRefused as JobRefused,
        QuotaExhausted as QuotaExhausted,
        RequestRejected as RequestRejected,
        RetryLater as RetryLater,
        TargetChanged as TargetChanged,
    )
    from reverse_etl_assets.records import (
        Batch as Batch,
        Capabilities as Capabilities,
        Current as Current,
        FieldType as FieldType,
        JobLimits as JobLimits,
        Operation as Operation,
        Outcome as Outcome,
        Quota as Quota,
        Reason as Reason,
        Record as Record,
        RowError as RowError,
        Status as Status,
        Target as Target,
    )
else:
    from reverse_etl_assets.lazy_names import lazy_names

    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
