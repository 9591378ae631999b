"""What of an account a day may take, as its settings say it."""

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Budget(BaseModel):
    """What all syncs together may use of an account in a day (UTC)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    calls: int | None = None
    """Requests a day."""
    leave: float = Field(default=20, ge=0, lt=100)
    """Percent of the vendor's own allowance that is left for other tools, where the vendor's answers tell its use."""

    @field_validator("calls")
    @classmethod
    def _sends_something(cls, value: int | None) -> int | None:
        if value is not None and value <= 0:
            raise ValueError(
                f"a budget of {value} sends nothing; to stop a destination use `reverse-etl stop --destination`."
            )
        return value
