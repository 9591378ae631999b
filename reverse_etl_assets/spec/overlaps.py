"""Two syncs that send the same field of the same records: each run of one would undo the other's."""

from collections.abc import Iterator, Mapping

from reverse_etl_assets.spec.sync import Sync, Wins
from reverse_etl_assets.spec.yaml_source import YamlSource


def overlaps(syncs: Mapping[str, Sync], sources: Mapping[str, YamlSource]) -> list[str]:
    """A line for each field that two syncs own, with both places; `sources` are the syncs' files, by name."""
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
