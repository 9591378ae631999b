"""Pages for people outside: what they list is what there is."""

import re
from pathlib import Path

import yaml

import reverse_etl_assets
from reverse_etl_assets.spec.modes import SyncMode

ROOT = Path(__file__).parents[2]


def test_the_page_of_public_names_has_each_of_them() -> None:
    named = set(re.findall(r"`(\w+)(?:\(\w*\))?`", (ROOT / "docs/public-api.md").read_text()))
    assert set(dir(reverse_etl_assets)) <= named


def test_who_asks_for_a_destination_is_offered_each_sync_mode() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/destination.yml").read_text())
    [modes] = [each for each in form["body"] if each.get("id") == "modes"]
    assert modes["attributes"]["options"] == [mode.value for mode in SyncMode]
