"""The public names: which there are, that each is there, and that nobody is taught another way to them."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {
    "reverse_etl_assets": """
        Alerts CheckFailed ConfigurationError DagsterReverseEtlTranslator DbtSettings DestinationError
        DestinationResource GoogleAdsResource HubSpotResource IntercomResource MetaAdsResource
        PostgresResource Preview Project Report ReverseEtlComponent ReverseEtlError Run SalesforceResource
        SlackResource SpecError StateError StripeResource SyncBusy SyncTranslatorData WebhookResource ZendeskResource
        build_sync_assets build_sync_definitions build_sync_specs load_syncs preview remember_dbt_results
        run_sync undo_run verify
    """,
    "reverse_etl_assets.destinations": """
        Accepts Account Ambiguous AuthenticationFailed BaseDestination Batch BearerToken Budget CHANGES CREATES
        Capabilities CheckFailed ClientCredentials ConfigurationError ConnectionSettings ContractViolation Current
        DestinationError FetchedToken Field FieldType FindsRecords Forms HeaderToken HttpDestination JobLimits
        JobRefused JobState JwtBearer NOTHING_KNOWN NUMBERS Operation Outcome Part Quota QuotaExhausted ReadsRecords
        Reason Record RefreshToken RequestRejected RestoresRecords RetryLater RowError RunsJobs Status SyncOptions
        Target TargetChanged Transport VendorApi canonical decode_json destination_type destination_types encode_json
        error_by_status field_problems json_text key_form key_value nearest plain_text retry_after same_value sends
        status_words
    """,
    "reverse_etl_assets.testing": """
        DestinationContract Harness JobContract LookupContract Model OutcomeContract PaceContract ReadBackContract
        SchemaContract ScratchProject Session Stored VirtualClock batch error_of record target with_field
    """,
}
CHANGED = "A public name went or came: say so in CHANGELOG.md, and keep an old one for a release."


@pytest.mark.parametrize("package", NAMES)
def test_the_public_names_are_those_that_were_promised(package: str) -> None:
    found = import_module(package)
    assert dir(found) == sorted(NAMES[package].split()), CHANGED
    assert found.__all__ == dir(found)
    for name in dir(found):
        assert name.isupper() or (getattr(found, name).__doc__ or "").strip(), name


def test_a_name_that_is_not_there_is_refused_as_python_does_it() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Projekt' from 'reverse_etl_assets'"):
        exec("from reverse_etl_assets import Projekt")
    with pytest.raises(AttributeError, match=r"module 'reverse_etl_assets\.testing' has no attribute 'Contract'"):
        import_module("reverse_etl_assets.testing").Contract  # noqa: B018


def test_no_module_has_the_name_of_a_public_one() -> None:
    """Once it is imported, Python hands out the module in place of the name."""
    for path in (ROOT / "reverse_etl_assets").iterdir():
        assert path.stem not in NAMES["reverse_etl_assets"].split(), path


@pytest.mark.parametrize(
    ("names", "heavy"),
    [
        ("from reverse_etl_assets import __version__", ("dagster", "duckdb", "httpx", "pydantic")),
        ("from reverse_etl_assets import Project, run_sync", ("dagster",)),
        ("from reverse_etl_assets.destinations import HttpDestination", ("dagster", "duckdb", "dbt")),
    ],
)
def test_a_name_costs_only_what_it_needs(names: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys\n{names}\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_version_has_one_place() -> None:
    from importlib.metadata import version

    import reverse_etl_assets

    assert reverse_etl_assets.__version__ == version("reverse-etl-assets")
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]


def taught() -> Iterator[tuple[str, str]]:
    """Python that users read: in pages, the demo and the example package."""
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]:
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)):
            yield f"{page.relative_to(ROOT)}, block {number + 1}", code
    for file in (*ROOT.glob("examples/**/*.py"), *ROOT.glob("demo/**/*.py")):
        yield str(file.relative_to(ROOT)), file.read_text()


@pytest.mark.parametrize(("where", "code"), list(taught()), ids=[where for where, _ in taught()])
def test_users_are_taught_public_names_alone(where: str, code: str) -> None:
    for line in ast.walk(ast.parse(code)):
        modules = [line.module or ""] if isinstance(line, ast.ImportFrom) else []
        modules += [name.name for name in line.names] if isinstance(line, ast.Import) else []
        private = [each for each in modules if each.startswith("reverse_etl_assets") and each not in NAMES]
        assert not private, f"{where}: {private}"
