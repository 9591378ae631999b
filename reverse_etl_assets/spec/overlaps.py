"""Two syncs in each other's way: a run of one would undo what the other has done.

They send the same field of the same records, delete records of the same object, or one takes the place of all that is
there.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations

from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.fitness import DestinationTypes
from reverse_etl_assets.spec.mapped_field import Wins
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import YamlSource


def overlaps(syncs: Mapping[str, Sync], sources: Mapping[str, YamlSource], destinations: DestinationTypes) -> list[str]:
    """A line for each way in which two syncs collide, with both places; `sources` are the syncs' files, by name."""
    return [*_fields(syncs, sources), *_records(syncs, sources, destinations)]


def _records(
    syncs: Mapping[str, Sync], sources: Mapping[str, YamlSource], destinations: DestinationTypes
) -> Iterator[str]:
    """Syncs of one object of which both delete, or one puts what it sends in the place of everything."""
    for one, other in combinations(syncs.values(), 2):
        if (one.destination, one.object.lower()) != (other.destination, other.object.lower()):
            continue
        place = f"`{other.object}` of `{other.destination}`"
        replaces = [each for each in (other, one) if Route(each, destinations[each.destination]).capabilities.replaces]
        if replaces:
            replacing, hit = (other, one) if replaces[0] is other else (one, other)
            there = f"{sources[hit.sync].path}:{sources[hit.sync].line(('object',))}"
            message = (
                f"each run takes the place of all that {place} holds, so it takes out what `{hit.sync}` sends there"
                f" ({there}); let one sync send the rows of both, from a model that has them all."
            )
            yield sources[replacing.sync].say(("object",), message)
        elif _deletes(one, destinations) and _deletes(other, destinations):
            there = f"{sources[one.sync].path}:{sources[one.sync].line(('sync_mode',))}"
            message = (
                f"`{one.sync}` deletes records of {place} too ({there}), so a row that leaves one model would take a"
                " record that the other still has; let one sync mirror the rows of both, from a model that has them"
                " all, or give one of them `incremental` or `update_only`."
            )
            yield sources[other.sync].say(("sync_mode",), message)


def _deletes(sync: Sync, destinations: DestinationTypes) -> bool:
    """Records that another sync may have written: not where each row makes one of its own, as a message is."""
    own = Route(sync, destinations[sync.destination]).capabilities.idempotent_by_id
    return sync.mode.deletes and Operation.UPSERT not in own


def _fields(syncs: Mapping[str, Sync], sources: Mapping[str, YamlSource]) -> list[str]:
    owners: dict[tuple[str, str, str], str] = {}
    problems = []
    for name, sync in syncs.items():
        for field in _owned(sync):
            place = (sync.destination, sync.object.lower(), field.lower())
            if (other := owners.setdefault(place, name)) == name:
                continue
            theirs = next(each for each in syncs[other].mapping if each.lower() == field.lower())
            there = f"{sources[other].path}:{sources[other].line(('mapping', theirs))}"
            message = (
                f"`{other}` sends this field of `{sync.object}` to `{sync.destination}` too ({there}); leave it to one"
                " of them, or give one `wins: destination`, so that it only fills what is empty."
            )
            problems.append(sources[name].say(("mapping", field), message))
    return problems


def _owned(sync: Sync) -> Iterator[str]:
    """The fields whose values a sync keeps right: not the one it finds records by, nor those it only fills."""
    if sync.mode.writes_once:
        return
    for field, source in sync.mapping.items():
        if field.lower() != sync.external_id.lower() and source.wins is not Wins.DESTINATION:
            yield field
