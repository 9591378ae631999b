"""What a guard found, and rows and shares of them against limits. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reverse_etl_assets.spec.policies import Limit

UNLIMITED = "no limit is set"


@dataclass(frozen=True)
class Finding:
    """One guard's judgement: what it saw, what it allows, and in words why.

    `value` and `limit` are in the unit that decided: rows, percent or deviations. `figures` are all numbers by name.
    `field` is set if the finding is about one field of several. `judged` is False if the guard could not look, and lets
    pass what it does not know.
    """

    guard: str
    passed: bool
    message: str
    value: float | None = None
    limit: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    field: str | None = None
    judged: bool = True


def tripped(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.passed]


def beyond(limit: Limit, rows: int, of: int) -> bool:
    """Whether `rows` of `of` are more than a limit allows."""
    too_many = limit.rows is not None and rows > limit.rows
    return too_many or (limit.percent is not None and of > 0 and 100 * rows / of > limit.percent)


@dataclass(frozen=True)
class Share:
    """What part of a whole some rows are, and the most that is allowed. The value is None of an empty whole."""

    name: str
    value: float | None
    limit: float | None
    unit: str
    whole: str

    @property
    def is_beyond(self) -> bool:
        """A share that cannot be computed is beyond whatever is allowed."""
        return self.limit is not None and (self.value is None or self.value > self.limit)

    @property
    def text(self) -> str:
        if self.value is None:
            return f"{self.name} {self.whole} cannot be computed"
        return f"{self.value:.2f} {self.unit} {self.whole}"


def percent_of(limit: Limit, rows: float, of: float, whole: str) -> Share:
    return Share("percent", ratio(100 * rows, of), limit.percent, "%", whole)


def ratio(part: float, whole: float) -> float | None:
    if whole:
        return part / whole
    return None if part else 0.0


def within(guard: str, text: str, rows: float, limit: Limit, shares: Sequence[Share], percent_from: int) -> Finding:
    """Whether `rows`, and the shares that they are, stay within the limit; the first that does not decides."""
    figures = _figures(rows, limit, shares)
    if limit.rows is not None and rows > limit.rows:
        return Finding(guard, False, f"{text}; the limit is {limit.rows} rows", rows, limit.rows, figures)
    if limit.rows is not None:  # says how many are too many also where no share can be computed
        shares = [share for share in shares if share.value is not None]
    judged = [share for share in shares if share.limit is not None]
    share = next((share for share in judged if share.is_beyond), judged[0] if judged else None)
    if share is None:
        parts = "".join(f" ({share.text})" for share in shares[:1] if share.value is not None)
        allowed = UNLIMITED if limit.rows is None else f"the limit is {limit.rows} rows"
        return Finding(guard, True, f"{text}{parts}; {allowed}", rows, limit.rows, figures)
    message, passed = f"{text}: {share.text}; the limit is {share.limit:g} {share.unit}", not share.is_beyond
    if share.is_beyond and rows < percent_from:
        passed, message = True, f"{message}, and holds from {percent_from} rows on (`percent_from`)"
    elif share.value is None:
        message += ". Give it in `rows`, or approve the plan"
    value = None if share.value is None else round(share.value, 4)
    return Finding(guard, passed, message, value, share.limit, figures)


def _figures(rows: float, limit: Limit, shares: Sequence[Share]) -> dict[str, float]:
    found = {"rows": rows, "limit rows": limit.rows}
    for share in shares:
        found |= {share.name: share.value, f"limit {share.name}": share.limit}
    return {name: round(number, 4) for name, number in found.items() if number is not None}
