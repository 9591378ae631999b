"""Where a Zendesk account is and how to sign in, and the settings of a sync."""

from typing import Self

from pydantic import SecretStr, model_validator

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions


class ZendeskConnection(ConnectionSettings):
    """A Zendesk account; an OAuth client signs in, or an API token with its admin's address until those end."""

    base_url: str
    """`https://acme.zendesk.com`."""
    client_id: str | None = None
    """The Identifier of an OAuth client of the kind Confidential."""
    client_secret: SecretStr | None = None
    """The OAuth client's Secret."""
    scope: str = "read write"
    """What the OAuth client asks for; `users:read users:write` and the like for less."""
    token: SecretStr | None = None
    """Instead of an OAuth client, until 2027-04-30: an API token of the admin named in `email`; without `email`, an
    OAuth access token, which is not renewed."""
    email: str | None = None
    """Of the admin whose API token it is."""

    @model_validator(mode="after")
    def _signs_in_one_way(self) -> Self:
        if bool(self.client_id) != bool(self.client_secret):
            raise ValueError("`client_id` and `client_secret` belong together: Identifier and Secret of one client.")
        if bool(self.client_id) == bool(self.token):
            raise ValueError("give either `client_id` with `client_secret`, or `token`.")
        if self.email and self.client_id:
            raise ValueError("`email` belongs to an API token; an OAuth client has none.")
        return self


class ZendeskOptions(SyncOptions):
    bulk: bool = True
    """Send many rows as jobs of 100; `false` sends them one by one, where the import of users is off."""
    verify_email: bool = False
    """Let Zendesk write to new users and ask them to verify their address."""
