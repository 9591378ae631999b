"""What of a vendor's API ages: its versions, until when each is supported, and when somebody last looked that up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

NOTICE = timedelta(days=180)
"""How long before a version's end `reverse-etl check` warns. A test of the project fails 90 days before that of a
version that is the default."""


@dataclass(frozen=True)
class VendorApi:
    """The version that is used unless an account names another one, and what the vendor says of its versions.

    `checked_on` is the day on which version and sign-in were last held against `source`, the vendor's own pages.
    """

    checked_on: date
    source: str
    version: str = ""
    """Empty where the API has no versions."""
    ends: Mapping[str, date] = field(default_factory=dict)
    """The last day of a version's support, where the vendor tells one."""

    def end_of(self, version: str) -> date | None:
        """The last day of its support; None if the vendor tells none."""
        return self.ends.get(version)

    def warning(self, vendor: str, version: str, today: date) -> str | None:
        """In a sentence, that support of a version ends soon, or has ended."""
        end = self.end_of(version)
        if end is None or end - today > NOTICE:
            return None
        message = f"ends on {end}" if today <= end else f"ended on {end}"
        better = f"; set `api_version` to {self.version}" if version != self.version else "; look for a later release"
        return f"{vendor}'s support of version {version} of its API {message}{better}."

    def described(self) -> str:
        """For a page of the documentation."""
        version = "The API has no versions"
        if self.version:
            end = self.end_of(self.version)
            until = f"supported until {end}" if end else "for which no end is announced"
            version = f"Version `{self.version}` of the API, {until}"
        return f"{version}. Version and sign-in were checked on {self.checked_on}: {self.source}."
