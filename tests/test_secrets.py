"""No key of a vendor, a cloud or a person lies in a file of the project; those of tests do not have their shape."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHAPES = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/=]{32}",
    "Amazon's access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{60}",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a HubSpot token": r"\bpat-[a-z]{2,3}[0-9]-[0-9a-f]{8}-[0-9a-f]{4}-",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    "a Meta token": r"\bEAA[A-Za-z0-9]{60,}",
    "a Salesforce session": r"\b00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}",
    "a Slack token": r"\bxox[abeprs]-[0-9]{8,}-[0-9A-Za-z-]{20,}",
    "a Slack webhook": r"\bhooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,}",
    "a Stripe key": r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{24,}",
}
MADE = {
    ".git",
    ".venv",
    ".reverse_etl",
    ".hypothesis",
    "__pycache__",
    "target",
    "logs",
    "build",
    "dist",
    "node_modules",
}


def texts(folder: Path = ROOT) -> Iterator[tuple[Path, str]]:
    for file in sorted(folder.iterdir()):
        made = file.name in MADE or file.name.startswith(".venv") or file.name.endswith(("_cache", ".egg-info"))
        if made or file.is_symlink():
            continue
        if file.is_dir():
            yield from texts(file)
        elif file.stat().st_size < 2_000_000:
            yield file, file.read_text(errors="replace")


def found_in(text: str) -> set[str]:
    return {name for name, shape in SHAPES.items() if re.search(shape, text)}


def test_no_file_holds_a_key() -> None:
    found = {str(file.relative_to(ROOT)): kinds for file, text in texts() if (kinds := found_in(text))}
    assert found == {}


def test_every_shape_is_one_that_is_found() -> None:
    """Put together here, for this file is looked at too."""
    keys = {
        "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----\n" + "M" * 40,
        "Amazon's access key": "AKIA" + "Q" * 16,
        "a GitHub token": "ghp_" + "a1" * 18,
        "a Google API key": "AIza" + "x" * 35,
        "a HubSpot token": "pat-" + "na1-" + "0123abcd-0123-0123",
        "a JSON web token": ".".join(["eyJ" + "a" * 20, "eyJ" + "b" * 20, "c" * 20]),
        "a Meta token": "EAA" + "b" * 60,
        "a Salesforce session": "00D" + "5" * 12 + "!" + "a" * 60,
        "a Slack token": "xoxb-" + "1" * 10 + "-" + "a" * 20,
        "a Slack webhook": "hooks.slack.com" + "/services/T" + "0" * 8 + "/B" + "0" * 8 + "/" + "x" * 20,
        "a Stripe key": "sk_" + "test_" + "a" * 24,
    }
    assert {name: found_in(key) for name, key in keys.items()} == {name: {name} for name in SHAPES}
