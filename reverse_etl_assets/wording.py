"""How a text has to be written: as a pattern for editors, and in words for whoever wrote another one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Written:
    """Annotates a text. `words` say what is right, with an example; they stand behind "write ".

    pydantic's own `pattern` tells people the pattern, which most cannot read.
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._fitting, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Mapping[str, Any]:
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

    def _fitting(self, value: str) -> str:
        if re.fullmatch(self.pattern, value, re.ASCII):
            return value
        raise PydanticCustomError("written", "write {words}.", {"words": self.words})


COUNTRY = Written("[A-Z]{2}", "the two capital letters of a country (ISO 3166-1 alpha-2), such as `DE`")
