"""State and journal are for the user who runs syncs, whatever the umask; what is there already stays as it is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.office import Office
from tests.heavy import heavy

ADA = ("ada@shop.example", "Ada", "Bern")


@pytest.fixture(params=[0o000, 0o022], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {str(each.relative_to(folder)): oct(each.stat().st_mode & 0o777) for each in folder.rglob("*")}


@heavy
@pytest.mark.usefixtures("umask")
def test_they_are_made_for_their_user_alone(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    home = office.home / "runs" / "here"
    office.sync("people_to_crm")
    office.build(ADA)
    warehouse = office.home / "warehouse.duckdb"
    monkeypatch.setenv("REVERSE_ETL_HOME", str(home))
    (office.dbt_folder / "profiles.yml").write_text(
        f"shop: {{target: local, outputs: {{local: {{type: duckdb, path: '{warehouse}', schema: marts}}}}}}\n"
    )
    office.ok("run", "--all")
    assert oct((office.home / "runs").stat().st_mode & 0o777) == oct(home.stat().st_mode & 0o777) == "0o700"
    found = modes(home)
    assert found["state"] == "0o700"
    assert found["journal.sqlite"] == found["state/people_to_crm.duckdb"] == "0o600"
    office.ok("forget", ADA[0], "--yes", "--even-if-in-model")  # which writes them anew
    found = modes(home)
    assert found["journal.sqlite"] == found["state/people_to_crm.duckdb"] == "0o600"


def test_a_folder_that_somebody_shares_stays_shared(office: Office) -> None:
    office.home.chmod(0o750)
    (office.home / "state").mkdir(0o755)
    office.sync("people_to_crm")
    office.build(ADA)
    office.ok("run", "--all")
    assert oct(office.home.stat().st_mode & 0o777) == "0o750"
    assert oct((office.home / "state").stat().st_mode & 0o777) == "0o755"
    assert modes(office.home)["state/people_to_crm.duckdb"] == "0o600"
