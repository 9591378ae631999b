"""Reading an object's describe, with those of the parents that a mapping names, and telling what does not fit."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from reverse_etl_assets.destinations.salesforce.api import Api
from reverse_etl_assets.destinations.salesforce.describe import problems
from reverse_etl_assets.destinations.salesforce.parents import as_own_field, lookup_field, lookups, parent_object
from reverse_etl_assets.destinations.schema import nearest
from reverse_etl_assets.errors import CheckFailed, DestinationError, RequestRejected, TargetChanged
from reverse_etl_assets.records import Target

Parents = Mapping[str, tuple[str, str]]


async def described(api: Api, target: Target, parents: Parents, *, case_sensitive_key: bool) -> dict[str, Any]:
    """The object's describe; mapped fields of parents are among its own. Raises CheckFailed with all that is wrong."""
    try:
        describe: dict[str, Any] = await api.get(f"/sobjects/{quote(target.object, safe='')}/describe")
    except (RequestRejected, TargetChanged) as error:
        raise CheckFailed([await _not_there(api, target.object, error)]) from error
    found = await _add_parents(api, describe, parents)
    found += problems(describe, target, case_sensitive_key=case_sensitive_key)
    if found:
        raise CheckFailed(found)
    return describe


async def _add_parents(api: Api, describe: dict[str, Any], parents: Parents) -> list[str]:
    """Add the fields of parents that are mapped to the object's own. Returns what is wrong with them."""
    wrong: list[str] = []
    for name, (relationship, _) in parents.items():
        try:
            other = parent_object(describe, relationship)
            parent = await api.get(f"/sobjects/{quote(other, safe='')}/describe")
            describe["fields"].append(as_own_field(lookups(describe)[relationship], parent, name))
        except ValueError as error:
            wrong.append(str(error))
        except RequestRejected as error:
            wrong.append(
                f"`{relationship}` leads to `{other}`, which this user cannot see ({error}): give it the permission, or"
                f" map `{lookup_field(relationship)}` to a column of Ids."
            )
    return wrong


async def _not_there(api: Api, name: str, error: DestinationError) -> str:
    """Is it the object that is not there, or the version of the API?"""
    versions = await api.versions()
    if api.version not in versions:
        return (
            f"This org does not have version {api.version} of the API: set `api_version` to one from"
            f" {versions[0]} to {versions[-1]}."
        )
    objects = [each["name"] for each in (await api.get("/sobjects"))["sobjects"]]
    return f"There is no object `{name}` that this user can see{nearest(name, objects)} ({error})."
