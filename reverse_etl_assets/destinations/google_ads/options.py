"""Where a Google Ads account is and how to sign in, and what a sync says of its audience."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BeforeValidator, Field, SecretStr, model_validator

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.wording import COUNTRY, Written

TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


def _digits(value: Any) -> Any:
    return value.replace("-", "") if isinstance(value, str) else value


Customer = Annotated[
    str, BeforeValidator(_digits), Written(r"\d{10}", "the ten digits of an account, such as `123-456-7890`")
]
Consent = Literal["granted", "denied"]


class ServiceAccount(msgspec.Struct):
    """What is used of the key file of a service account."""

    client_email: str
    private_key: str
    private_key_id: str | None = None
    token_uri: str = TOKEN_URL


class GoogleAdsConnection(ConnectionSettings):
    """Google Ads audiences; a service account signs in, or a person who has consented once."""

    base_url: str = "https://datamanager.googleapis.com"
    customer_id: Customer
    """The account that has the audiences: ten digits, `123-456-7890`."""
    login_customer_id: Customer | None = None
    """The manager account through which the sign-in has access, if it has it through one."""
    service_account: SecretStr | None = None
    """The service account's key, as the JSON text of its file."""
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None
    token_url: str = TOKEN_URL
    """Where a person's refresh token is exchanged; a service account's key names its own."""

    @model_validator(mode="after")
    def _signs_in(self) -> "GoogleAdsConnection":
        person = (self.client_id, self.client_secret, self.refresh_token)
        if (self.service_account is None) != all(person) or (self.service_account and any(person)):
            raise ValueError("give either `service_account`, or `client_id`, `client_secret` and `refresh_token`.")
        self.key()
        return self

    def key(self) -> ServiceAccount | None:
        """Raises ValueError for a text that is no key of a service account; its message holds nothing of it."""
        if self.service_account is None:
            return None
        text = self.service_account.get_secret_value()
        try:
            return msgspec.json.decode(text, type=ServiceAccount)
        except msgspec.MsgspecError:
            raise ValueError(
                "`service_account` is not the JSON text of a service account's key, with `client_email` and"
                f" `private_key`{_other_kind(text)}."
            ) from None


def _other_kind(text: str) -> str:
    """What a text is that stands in the place of a key, as far as it can be told."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        is_path = text.strip().endswith(".json")
        return ": it is the name of a file, whose text is meant" if is_path else ": it is no JSON object"
    if "installed" in found or "web" in found:
        return ": it is an OAuth client; give `client_id`, `client_secret` and a person's `refresh_token` instead"
    if found.get("type") == "authorized_user":
        return ": it is a person's sign-in; its client_id, client_secret and refresh_token are settings of their own"
    return ""


class GoogleAdsOptions(SyncOptions):
    """What a sync says of its audience."""

    terms_of_service: Literal["accepted"]
    """That the account has accepted the Customer Match terms. Google takes no members without it, and only a person
    can say it."""
    ad_user_data: Consent | None = None
    """Consent of all members to be told to Google for advertising, where no field says it of each."""
    ad_personalization: Consent | None = None
    """Consent of all members to personalised advertising, where no field says it of each."""
    phone_region: Annotated[str, COUNTRY] | None = None
    """The country (ISO 3166-1 alpha-2) of telephone numbers without an international prefix."""
    wait: float = Field(180, ge=0)
    """Seconds that a run waits for Google to process a request; after that the next run asks."""
    replace: bool = False
    """Remove everybody else: members that a run has not uploaded, whoever put them there. For `full_refresh`."""


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="developers.google.com/data-manager, API reference; Google Ads developer blog of 2026-03-04",
    version="v1",
)
