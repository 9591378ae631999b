"""Which syncs a command is for: names, tags, places, models, parents and children."""

import pytest

from reverse_etl_assets.cli.selection import select
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.spec.order import in_order
from reverse_etl_assets.spec.sync import Sync
from tests.cli.office import EVENTS, Office
from tests.engine.shop import sink_sync

ROWS = [("ada@shop.example", "Ada", "Bern"), ("bob@shop.example", "Bob", "Graz")]
SYNCS = in_order(
    {
        sync.sync: sync
        for sync in (
            sink_sync(sync="accounts", model="firms.v2", destination="crm", tags={"domain": "sales", "pii": ""}),
            sink_sync(sync="cards", destination="hook", after="contacts", tags={"domain": "support"}),
            sink_sync(sync="contacts", destination="crm", after=["accounts", "regions"], tags={"domain": "sales"}),
            sink_sync(sync="leads", destination="crm", tags={"domain": "support"}),
            sink_sync(sync="regions", model="regions", destination="hook"),
        )
    }
)


def names(found: list[Sync]) -> list[str]:
    return [sync.sync for sync in found]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], "accounts regions contacts cards leads"),
        (["leads", "cards"], "cards leads"),
        (["LEADS"], "leads"),
        (["sync:leads"], "leads"),
        (["*ards"], "cards"),
        (["*"], "accounts regions contacts cards leads"),
        (["tag:domain=sales"], "accounts contacts"),
        (["tag:domain"], "accounts contacts cards leads"),
        (["tag:domain=s*"], "accounts contacts cards leads"),
        (["tag:pii"], "accounts"),
        (["destination:crm"], "accounts contacts leads"),
        (["destination:Hook"], "regions cards"),
        (["model:firms"], "accounts"),
        (["model:firms.v2"], "accounts"),
        (["model:people"], "contacts cards leads"),
        (["+contacts"], "accounts regions contacts"),
        (["contacts+"], "contacts cards"),
        (["+contacts+"], "accounts regions contacts cards"),
        (["+cards"], "accounts regions contacts cards"),
        (["1+cards"], "contacts cards"),
        (["accounts+1"], "accounts contacts"),
        (["+destination:hook"], "accounts regions contacts cards"),
        (["destination:crm,tag:domain=support"], "leads"),
        (["destination:crm,tag:domain=support regions"], "regions leads"),
        (["destination:hook,+cards,model:people"], "cards"),
    ],
)
def test_what_is_selected(words: list[str], found: str) -> None:
    assert names(select(SYNCS, words)) == found.split()
    assert names(select(SYNCS, None, words)) == found.split()
    left = [name for name in names(select(SYNCS)) if name not in found.split()]
    if left:
        assert names(select(SYNCS, exclude=words)) == left


def test_names_and_selections_are_one_union() -> None:
    assert names(select(SYNCS, ["leads"], ["tag:pii", "cards"], ["cards"])) == ["accounts", "leads"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("contcts", "there is no sync `contcts`; did you mean `contacts`?"),
        ("+contcts", "there is no sync `contcts`; did you mean `contacts`?"),
        ("leads,contcts", "there is no sync `contcts`; did you mean `contacts`?"),
        ("x*", "there is no sync `x*`; known are `accounts`, `cards`, `contacts`, `leads`, `regions`."),
        ("tag:domian=sales", "there is no tag `domian=sales`; did you mean `domain=sales`?"),
        ("tag:sales", "there is no tag `sales`; did you mean `domain=sales`?"),
        ("destination:cmr", "there is no sync with the destination `cmr`; did you mean `crm`?"),
        ("model:peple", "there is no sync with the model `peple`; did you mean `people`?"),
        ("tags:pii", "`tags:pii`: nothing is selected by `tags`; did you mean `tag`?"),
        ("destination:crm,destination:hook", "no sync is left of destination:crm,destination:hook."),
        ("leads,,cards", "`` selects nothing; write names, with `+` before or after them, and `,` between them."),
        ("++leads", "`++leads` selects nothing; write names, with `+` before or after them, and `,` between them."),
        (" ", "no sync is left of  ."),
    ],
)
def test_a_piece_that_selects_nothing_is_told(word: str, said: str) -> None:
    with pytest.raises(SpecError) as raised:
        select(SYNCS, [word])
    assert str(raised.value) == said


def test_nothing_is_left() -> None:
    with pytest.raises(SpecError, match="no sync is left of destination:crm without tag:domain"):
        select(SYNCS, ["destination:crm"], exclude=["tag:domain"])


@pytest.fixture
def two(office: Office) -> Office:
    office.sync("people_to_crm", tags={"domain": "sales"}, schedule="0 6 * * *")
    office.sync("events", EVENTS, after="people_to_crm")
    office.build(*ROWS)
    return office


def test_every_command_takes_a_selection(two: Office) -> None:
    assert list(two.json("check", "destination:crm")["problems"]) == ["people_to_crm"]
    assert [each["sync"] for each in two.json("run", "--select", "+events", "--exclude", "events")["runs"]] == [
        "people_to_crm"
    ]
    assert [each["sync"] for each in two.json("run", "--all", "--exclude", "people_to_crm")["runs"]] == ["events"]
    assert [each["sync"] for each in two.json("plan", "-s", "people_to_crm+")["plans"]] == ["people_to_crm", "events"]
    said = two.ok("plan", "people_to_crm", "events")
    assert said.index("people_to_crm") < said.index("events  ")
    assert [each["sync"] for each in two.json("verify", "tag:domain")["syncs"]] == ["people_to_crm"]
    assert two.json("verify", "people_to_crm")["sync"] == "people_to_crm"
    found = two.json("status", "events")
    assert [each["sync"] for each in found["syncs"]] == [each["sync"] for each in found["usage_today"]] == ["events"]
    assert [each["destination"] for each in found["destinations"]] == ["hook"]
    assert len(two.json("status")["syncs"]) == 2


@pytest.mark.parametrize("command", ["run", "check", "plan", "verify", "status", "list"])
def test_every_command_refuses_an_unknown_piece(two: Office, command: str) -> None:
    result = two.run(command, "tag:domian")
    assert result.exit_code == 2
    assert result.stderr == "Error: there is no tag `domian`; did you mean `domain`?\n"


def test_list(two: Office) -> None:
    found = two.json("list")["syncs"]
    assert [(each["sync"], each["after"], each["schedule"]) for each in found] == [
        ("people_to_crm", [], "0 6 * * *"),
        ("events", ["people_to_crm"], None),
    ]
    assert found[0]["tags"] == {"domain": "sales"}
    said = two.ok("list", "destination:crm")
    assert "people_to_crm" in said
    assert "domain=sales" in said
    assert "events" not in said
    assert not (two.home / "journal.sqlite").exists(), "it opens no journal"


@pytest.mark.parametrize("words", [("plan",), ("verify",), ("run",)])
def test_some_commands_want_a_selection(two: Office, words: tuple[str, ...]) -> None:
    assert two.run(*words).exit_code == 2


def test_a_kept_plan_is_of_one_sync(two: Office) -> None:
    result = two.run("plan", "*", "--show", "waiting")
    assert result.exit_code == 2
    assert "name that one alone" in " ".join(result.stderr.split())


def test_each_word_that_selects_nothing_is_named() -> None:
    with pytest.raises(SpecError) as raised:
        select(SYNCS, ["laeds", "cards"], ["tag:nothing"])
    first, second = str(raised.value).splitlines()
    assert "`laeds`" in first
    assert "tag `nothing`" in second
