"""YAML that remembers its lines, so that an error can say where it is and what would be right."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from reverse_etl_assets.errors import SpecError

Location = tuple[str | int, ...]
_SYNC = "a sync is a mapping of fields, such as `model: customer_traits`"
_NULL, _TEXT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"


class YamlSource:
    """One YAML file: its value and the line of every key.

    Raises SpecError with file and line if the text is not YAML, not a mapping (`right` says what it would be), or names
    a key twice.
    """

    def __init__(
        self, path: Path, right: str = "a sync is a mapping of fields, such as `model: customer_traits`"
    ) -> None:
        self.path = path
        self.lines: dict[Location, int] = {(): 1}
        try:
            loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
            node = loader.get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise SpecError(f"{path}:1: {right}.")
            self._walk(node, ())
            self.value: dict[str, Any] = loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise SpecError(f"{path}:{line}: not valid YAML: {error.problem}.") from None
        except yaml.reader.ReaderError as error:
            text = f"it holds the character U+{error.character:04X}, which YAML does not take"
            raise SpecError(f"{path}: not valid YAML: {text} ({error.position:,} characters from its start).") from None
        except UnicodeDecodeError as error:
            raise SpecError(f"{path}:1: not UTF-8 text ({error.reason}).") from None

    def _walk(self, node: yaml.Node, location: Location) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*location, key.value)
                if inner in self.lines:
                    raise SpecError(f"{self.path}:{key.start_mark.line + 1}: `{key.value}` is given twice.")
                self.lines[inner] = key.start_mark.line + 1
                if key.tag == _NULL:  # a field may be called `null`
                    key.tag = _TEXT
                self._walk(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self.lines[*location, index] = value.start_mark.line + 1
                self._walk(value, (*location, index))

    def line(self, location: Location) -> int:
        """The line of a field, or of the nearest thing around it."""
        location = self._as_written(location)
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]

    def _as_written(self, location: Location) -> Location:
        """Without the numbers in a list of which the file has its one entry alone."""
        found: Location = ()
        for part in location:
            if not isinstance(part, int) or (*found, part) in self.lines:
                found = (*found, part)
        return found

    def error(self, location: Location, message: str) -> SpecError:
        return SpecError(self.say(location, message))

    def say(self, location: Location, message: str) -> str:
        where = ".".join(str(part) for part in self._as_written(location))
        return f"{self.path}:{self.line(location)}: {f'{where}: ' if where else ''}{message}"

    def explain(self, error: ValidationError, model: type[BaseModel], below: Location = ()) -> SpecError:
        """pydantic's findings as one error with a line, a field and the nearest right word each.

        `below` is where the validated part stands in the file.
        """
        return SpecError("\n".join(self._explain_one(dict(detail), model, below) for detail in error.errors()))

    def _explain_one(self, detail: Mapping[str, Any], model: type[BaseModel], below: Location) -> str:
        location = below
        for part in detail["loc"] or detail.get("ctx", {}).get("at", ()):  # a rule about several fields names one
            if (*location, part) in self.lines:
                location = (*location, part)
        match detail["type"]:
            case "extra_forbidden":
                known = _fields_at(model, location[len(below) : -1])
                return self.say(location, f"unknown field{did_you_mean(str(location[-1]), known)}")
            case "missing":
                return self.say(location, f"`{detail['loc'][-1]}` is missing.")
            case "enum" | "literal_error":
                expected = detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
                return self.say(
                    location, f"{detail['input']!r} is unknown{did_you_mean(str(detail['input']), expected)}"
                )
            case "string_type":
                return self.say(location, f"{detail['msg']}: {_instead_of_text(detail['input'])}")
        return self.say(location, detail["msg"].removeprefix("Value error, "))


def _instead_of_text(value: object) -> str:
    """What YAML made of a word that was to be a text. The value itself may be a secret."""
    if value is None:
        return "nothing stands here."
    if isinstance(value, list | dict):
        return "write one text."
    taken = "true or false" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else "a date"
    return f"YAML takes this for {taken}; write it in quotes."


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """The names that are right at a location: the fields of the model that stands there."""
    parts = iter([part for part in location if not isinstance(part, int)])  # what stands in a list has one form
    for part in parts:
        field = model.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if field is None or inner is None:
            return []
        model = inner
        if get_origin(field.annotation) is dict:
            next(parts, None)  # a name of the user's own
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence: the nearest right word, or all of them if none is near."""
    known = list(known)
    folded = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{folded[near[0]]}`?"
    return f"; known are {', '.join(f'`{name}`' for name in known)}." if known else "."
