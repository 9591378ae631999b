"""What is refused when syncs are loaded: for their model, their fields, their destination, and each other."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.destinations.base import HttpDestination
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import SpecError, StateError
from reverse_etl_assets.records import Capabilities, Current, Operation, Target
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.warehouses.columns import Columns


class Reader(HubSpot):
    async def read_records(self, external_ids: Any, known: Any = None) -> Mapping[str, list[Current]]:
        return {}

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return bool(sent == held)


class Mute(HttpDestination[Any, Any]):
    """Takes everything, and tells nothing."""

    @classmethod
    def capabilities_for(cls, target: Target, options: Any) -> Capabilities:
        return Capabilities(frozenset(Operation), frozenset(), max_rows=1, max_bytes=1)


TYPES: dict[str, Any] = {"crm": Reader, "other_crm": Reader, "hook": Mute}
PEOPLE = Model(
    "people",
    "model.x.people",
    "marts",
    "people",
    dict.fromkeys(("id", "Email", "name", "city", "seen_at")),
    {},
    pii={"email": "email", "name": "personal"},
)
MODELS = {"people": PEOPLE, "undocumented": Model("undocumented", "model.x.u", "marts", "u", {}, {})}

GOOD = """\
model: people
destination: crm
object: contacts
primary_key: id
external_id: number
mapping:
  town: city
  mail: email
allow_pii: {email: They asked us to write.}
sync_mode: mirror
"""
NO_MIRROR = GOOD.replace("sync_mode: mirror", "sync_mode: incremental")
MUTE = GOOD.replace("destination: crm", "destination: hook")
RULE = "hook` cannot; `crm`, `other_crm` can."


def load(folder: Path, types: Mapping[str, Any] = TYPES, **files: str) -> dict[str, Sync]:
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text)
    return load_syncs(folder, MODELS, types)


def refused(folder: Path, types: Mapping[str, Any] = TYPES, **files: str) -> list[str]:
    """The lines of the error, without the folder."""
    with pytest.raises(SpecError) as raised:
        load(folder, types, **files)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


def without_permission(text: str) -> str:
    return text.replace("allow_pii: {email: They asked us to write.}\n", "")


def test_the_good_one_is_good(tmp_path: Path) -> None:
    assert load(tmp_path, a=GOOD)["a"].allow_pii == {"email": "They asked us to write."}


WRONG = {
    "personal data": (
        without_permission(GOOD),
        [
            "a.yml:8: mapping.mail: `email` of `people` is personal data (email), and sync `a` sends it to `crm`."
            " If it may leave, write `allow_pii: {email: <why>}`."
        ],
    ),
    "personal data in the key, said once": (
        without_permission(GOOD).replace("primary_key: id", "primary_key: [id, EMAIL]"),
        [
            "a.yml:4: primary_key: `EMAIL` of `people` is personal data (email), and sync `a` sends it to `crm`."
            " If it may leave, write `allow_pii: {EMAIL: <why>}`."
        ],
    ),
    "personal data that is only looked at": (
        GOOD + "on_duplicate_key: latest by name\n",
        [
            "a.yml:11: on_duplicate_key: `name` of `people` is personal data (personal), and sync `a` sends it to"
            " `crm`. If it may leave, write `allow_pii: {name: <why>}`."
        ],
    ),
    "a permission without a reason": (
        GOOD.replace("They asked us to write.", '""'),
        [
            "a.yml:9: allow_pii.email: say in a few words why this personal data may leave, such as"
            " `Sales writes to the customer`."
        ],
    ),
    "a reason that is left for later": (
        GOOD.replace("They asked us to write.", '"TODO why"'),
        [
            "a.yml:9: allow_pii.email: say in a few words why this personal data may leave, such as"
            " `Sales writes to the customer`."
        ],
    ),
    "a permission for a column that is not marked": (
        GOOD.replace("allow_pii: {", "allow_pii: {city: Why not., "),
        ["a.yml:9: allow_pii.city: dbt does not mark `city` of `people` as personal data; take the permission out."],
    ),
    "a permission for a column that is not used": (
        GOOD.replace("allow_pii: {", "allow_pii: {name: Why not., "),
        ["a.yml:9: allow_pii.name: the sync does not use `name`; take the permission out."],
    ),
    "a permission for a misspelt column": (
        GOOD.replace("allow_pii: {", "allow_pii: {emial: Why not., "),
        ["a.yml:9: allow_pii.emial: `people` has no column `emial`; did you mean `Email`?"],
    ),
    "latest without a time": (
        GOOD.replace("town: city", "town: {column: city, wins: latest}"),
        ["a.yml:7: mapping.town.wins: `wins: latest` needs `updated_at: <timestamp column>`."],
    ),
    "a guard of a field that is not mapped": (
        GOOD + "guards:\n  fields:\n    twon: {max_emptied: {rows: 1}}\n",
        ["a.yml:13: guards.fields.twon: the sync does not map `twon`; did you mean `town`?"],
    ),
    "rules for the key": (
        GOOD.replace("external_id: number", "updated_at: seen_at").replace(
            "town: city", "Number: {column: id, wins: latest, null: keep, transform: sha256_name}"
        ),
        [
            f"a.yml:7: mapping.Number.{rule}: `Number` is the key that matches records; it is always sent as it is."
            for rule in ("wins", "null", "transform")
        ],
    ),
    "a region that is none": (
        GOOD.replace("town: city", "town: {column: city, transform: sha256_phone, region: UK}"),
        [
            "a.yml:7: mapping.town.region: `UK` is no country of ISO 3166-1 with telephone numbers; Britain is `GB`.",
        ],
    ),
    "a region for what is no telephone number": (
        GOOD.replace("town: city", "town: {column: city, transform: sha256_email, region: CH}"),
        ["a.yml:7: mapping.town: `region` is for `transform: sha256_phone`."],
    ),
    "a repair that would append a second time": (
        GOOD.replace("mirror", "append") + "verify:\n  drift: {cron: 0 5 * * *, repair: resend}\n",
        ["a.yml:12: verify.drift.repair: `append` sends each row once, and nothing again; use `repair: report`."],
    ),
    "a rule that needs to read": (
        MUTE.replace("town: city", "town: {column: city, wins: unless_edited}"),
        [f"a.yml:7: mapping.town.wins: `wins: unless_edited` needs to read records back, and `{RULE}"],
    ),
    "everything else that needs to read": (
        MUTE + "before_images: destination\ncutover: adopt\nverify:\n  sample: all\n  drift: {cron: 0 5 * * *}\n",
        [
            f"a.yml:11: before_images: `before_images: destination` needs to read records back, and `{RULE}",
            f"a.yml:12: cutover: `cutover: adopt` needs to read records back, and `{RULE}",
            f"a.yml:14: verify.sample: `sample: all` needs to read records back, and `{RULE}",
            f"a.yml:15: verify.drift: `drift` needs to read records back, and `{RULE}",
        ],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong(tmp_path: Path, case: str) -> None:
    text, lines = WRONG[case]
    assert refused(tmp_path, a=text) == lines


def test_where_nothing_reads(tmp_path: Path) -> None:
    text = MUTE.replace("town: city", "town: {column: city, wins: destination}")
    (line,) = refused(tmp_path, {"hook": Mute}, a=text)
    assert line.endswith("`hook` cannot; no destination of this deployment can.")


def test_what_is_not_asked_for_needs_no_reading(tmp_path: Path) -> None:
    """Defaults do what can be done, and an explicit no is none the less one."""
    load(tmp_path, a=MUTE, b=MUTE.replace("contacts", "people") + "before_images: synced\nverify: {sample: 0}\n")


def test_a_model_without_documented_columns(tmp_path: Path) -> None:
    """Its columns are found when it is planned; without marks there is nothing to permit."""
    text = GOOD.replace("model: people", "model: undocumented")
    load(tmp_path, a=without_permission(text))
    assert refused(tmp_path, a=text) == [
        "a.yml:9: allow_pii.email: dbt does not mark `email` of `undocumented` as personal data;"
        " take the permission out."
    ]


# Two syncs of one field


def test_two_syncs_that_send_one_field(tmp_path: Path) -> None:
    b = NO_MIRROR.replace("object: contacts", "object: CONTACTS").replace("town: city", "Town: {constant: x}")
    assert refused(tmp_path, a=GOOD, b=b) == [
        f"b.yml:{line}: mapping.{field}: `a` sends this field of `CONTACTS` to `crm` too (a.yml:{line});"
        " leave it to one of them, or give one `wins: destination`, so that it only fills what is empty."
        for line, field in ((7, "Town"), (8, "mail"))
    ]


@pytest.mark.parametrize(
    "other",
    [
        GOOD.replace("object: contacts", "object: companies"),
        GOOD.replace("destination: crm", "destination: other_crm"),
        GOOD.replace("sync_mode: mirror", "sync_mode: insert_only"),
        GOOD.replace("sync_mode: mirror", "sync_mode: append"),
        NO_MIRROR.replace("city", "{column: city, wins: destination}").replace(
            "mail: email", "mail: {column: email, wins: destination}"
        ),
        NO_MIRROR.replace("town: city", "street: city").replace("mail: email", "telephone: email"),
    ],
    ids=["another object", "another destination", "insert_only", "append", "fills only", "other fields"],
)
def test_syncs_that_are_not_in_each_others_way(tmp_path: Path, other: str) -> None:
    load(tmp_path, a=GOOD, b=other)
    load(tmp_path, a=other, b=GOOD)


def test_both_match_by_a_field_that_both_map(tmp_path: Path) -> None:
    key = GOOD.replace("external_id: number\n", "").replace("town: city", "Number: id")
    load(
        tmp_path,
        a=key,
        b=key.replace("mail: email", "phone: email").replace("Number", "number").replace("mirror", "incremental"),
    )


def test_two_that_fill_and_one_that_owns(tmp_path: Path) -> None:
    fills = (
        without_permission(NO_MIRROR)
        .replace("  mail: email\n", "")
        .replace("city", "{column: city, wins: destination}")
    )
    load(tmp_path, a=fills, b=GOOD, c=fills)
    assert [line.partition(" `")[0] for line in refused(tmp_path, d=NO_MIRROR)] == [
        "d.yml:7: mapping.town:",
        "d.yml:8: mapping.mail:",
    ]


def other_fields(text: str) -> str:
    return text.replace("town: city", "street: city").replace("mail: email", "telephone: email")


def test_two_mirrors_of_one_object(tmp_path: Path) -> None:
    """Whatever their fields and keys: a row that leaves one model would take the other's record."""
    b = other_fields(GOOD).replace("object: contacts", "object: Contacts").replace("number", "code")
    assert refused(tmp_path, a=GOOD, b=b) == [
        "b.yml:10: sync_mode: `a` deletes records of `Contacts` of `crm` too (a.yml:10), so a row that leaves one model"
        " would take a record that the other still has; let one sync mirror the rows of both, from a model that has"
        " them all, or give one of them `incremental` or `update_only`."
    ]


class Audience(Reader):
    """What a run sends takes the place of all that is there."""

    @classmethod
    def capabilities_for(cls, target: Target, options: Any) -> Capabilities:
        return replace(super().capabilities_for(target, options), replaces=target.complete)


class Channel(Reader):
    """A row is a message of its own."""

    @classmethod
    def capabilities_for(cls, target: Target, options: Any) -> Capabilities:
        return replace(super().capabilities_for(target, options), idempotent_by_id=frozenset({Operation.UPSERT}))


@pytest.mark.parametrize("mode", ["incremental", "append", "full_refresh"])
def test_one_that_replaces_all_that_another_sends(tmp_path: Path, mode: str) -> None:
    all_of_it, other = GOOD.replace("mirror", "full_refresh"), other_fields(GOOD).replace("mirror", mode)
    name, hit = ("b", "a") if mode == "full_refresh" else ("a", "b")
    (line,) = refused(tmp_path, {"crm": Audience}, a=all_of_it, b=other)
    assert line.startswith(f"{name}.yml:3: object: each run takes the place of all that `contacts` of `crm` holds")
    assert f"what `{hit}` sends there ({hit}.yml:3)" in line


def test_two_that_send_messages_to_one_place(tmp_path: Path) -> None:
    load(tmp_path, {"crm": Channel}, a=GOOD, b=other_fields(GOOD))


COLUMNS = GOOD + "updated_at: sen_at\non_duplicate_key: latest by of_the_table\n"


def test_columns_are_those_of_the_table_not_of_dbts_yaml(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which may name others, leave some out and declare any type. A likely slip is a warning."""
    model = replace(PEOPLE, columns={**PEOPLE.columns, "seen_at": "text"})
    (tmp_path / "a.yml").write_text(COLUMNS)
    load_syncs(tmp_path, {"people": model}, TYPES)
    assert [record.getMessage().replace(f"{tmp_path}/", "") for record in caplog.records] == [
        "a.yml:11: updated_at: dbt's YAML of `people` has no column `sen_at`; did you mean `seen_at`?"
    ]
    assert {record.name for record in caplog.records} == {"reverse_etl_assets"}


def test_what_the_table_lacks_is_said_with_its_line(tmp_path: Path) -> None:
    sync = load(tmp_path, a=COLUMNS)["a"]
    with pytest.raises(StateError) as said:
        Columns.of(sync, {"id": "INTEGER", "e_mail": "VARCHAR", "City": "VARCHAR"}, fold_case=False)
    assert str(said.value).replace(f"{tmp_path}/", "").splitlines() == [
        "a.yml:8: mapping.mail: the built model people has no column `email`; did you mean `e_mail`?",
        "a.yml:11: updated_at: the built model people has no column `sen_at`; known are `id`, `e_mail`, `City`.",
        "a.yml:12: on_duplicate_key: the built model people has no column `of_the_table`; known are `id`, `e_mail`,"
        " `City`.",
    ]
    types = {"id": "INTEGER", "email": "VARCHAR", "city": "VARCHAR", "sen_at": "VARCHAR", "of_the_table": "DATE"}
    with pytest.raises(StateError, match=r"a\.yml:11: updated_at: model people, column sen_at: `updated_at` needs a"):
        Columns.of(sync, types, fold_case=False)
