"""Versions that dbt's YAML gives to a sync, beside the sync's own file, and which version of a model is meant.

`config: {meta: {reverse_etl: {version: 2}}}` of a model is for all syncs of it, `syncs: {name: {version: 2}}` in it for
one; the tag `reverse_etl_version:2` is short for the first. The sync's own file may repeat what stands there.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.errors import SpecError, UnknownModel
from reverse_etl_assets.spec.policies import Cutover, Strict
from reverse_etl_assets.spec.yaml_source import YamlSource, did_you_mean

_TAG = "reverse_etl_version:"


class _Versions(Strict):
    version: Annotated[int, Field(ge=1)] | None = None
    model_version: int | None = None
    cutover: Cutover | None = None

    @property
    def given(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True, exclude={"syncs"})


class _ModelSays(_Versions):
    syncs: dict[str, _Versions] = Field(default_factory=dict)


def with_dbt_versions(source: YamlSource, value: Mapping[str, Any], models: Mapping[str, Model]) -> dict[str, Any]:
    """A sync's file with the versions that dbt gives it. Raises SpecError where the two contradict each other."""
    model = models.get(str(value.get("model")))
    if model is None or model.unusable:
        return dict(value)
    own = dict(value)
    if model.version is not None and str(value["model"]).endswith(f".v{model.version}"):  # `model: customers.v1`
        own.setdefault("model_version", model.version)
    marks = _marks_of(model, str(value["sync"]))
    problems = [
        source.say(
            (name if name in value else "model",),
            f"`{name}` is {own[name]!r} here, and {says!r} in dbt ({place}); take one of them out.",
        )
        for name, (says, place) in marks.items()
        if name in own and own[name] != says
    ]
    if problems:
        raise SpecError("\n".join(problems))
    return {**value, **{name: says for name, (says, _) in marks.items()}}


def pinned(source: YamlSource, name: str, version: int | None, models: Mapping[str, Model]) -> str:
    """The name of the model that a sync means: `customers.v1` for `model: customers` and `model_version: 1`.

    Raises SpecError if dbt has no such model, or no such version of it.
    """
    model = models.get(name)
    if model is None:
        raise UnknownModel(source.say(("model",), f"there is no model `{name}`{did_you_mean(name, models)}"))
    if model.unusable:
        raise UnknownModel(source.say(("model",), f"`{name}` {model.unusable}"))
    if version is None:
        return name
    where = ("model_version",)
    if model.version is None:
        raise source.error(where, f"`{name}` has no versions in dbt; take `model_version` out.")
    plain = name.removesuffix(f".v{model.version}")
    wanted = f"{plain}.v{version}"
    if name not in (plain, wanted):
        raise source.error(where, f"`model: {name}` means another version than {version}; take one of them out.")
    if wanted not in models:
        same = [each for each in models.values() if each.plain_id == model.plain_id]
        known = sorted({f"{plain}.v{each.version}" for each in same})
        raise source.error(where, f"dbt has no version {version} of `{plain}`; it has {', '.join(known)}.")
    if models[wanted].unusable:
        raise UnknownModel(source.say(where, f"`{wanted}` {models[wanted].unusable}"))
    return wanted


def stray_names(models: Mapping[str, Model], syncs: Mapping[str, str]) -> list[str]:
    """What dbt's YAML says of syncs that there are not; `syncs` maps each sync to its model."""
    problems = []
    for model in models.values():
        plain = model.plain_name
        ours = [name for name, of in syncs.items() if models[of].plain_id == model.plain_id]
        try:
            strays = [name for name in _read(model).syncs if name not in ours]
        except SpecError as error:
            problems.append(str(error))
            continue
        problems += [
            f"{model.file}: model {plain}: meta.reverse_etl.syncs: it has no sync `{name}`{did_you_mean(name, ours)}"
            for name in strays
        ]
    return list(dict.fromkeys(problems))


def _marks_of(model: Model, sync: str) -> dict[str, tuple[Any, str]]:
    """What dbt says of one sync, each with its place; what stands under the sync's name comes before the rest."""
    says, place = _read(model), f"{model.file}, model {model.name}, meta.reverse_etl"
    marks = {name: (value, f"{place}.{name}") for name, value in says.given.items()}
    for tag in model.tags:
        if tag.startswith(_TAG):
            number = tag.removeprefix(_TAG)
            if not number.isdecimal() or marks.get("version", (int(number), ""))[0] != int(number):
                raise SpecError(
                    f"{model.file}: model {model.name}: the tag `{tag}` is no version, or not the only one."
                )
            marks["version"] = (int(number), f"{model.file}, model {model.name}, tag {tag}")
    own = says.syncs.get(sync, _Versions()).given
    return marks | {name: (value, f"{place}.syncs.{sync}.{name}") for name, value in own.items()}


def _read(model: Model) -> _ModelSays:
    try:
        return _ModelSays.model_validate(model.reverse_etl)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SpecError(f"{model.file}: model {model.name}: meta.reverse_etl: {found}.") from None
