"""A sync bound to its destination: what it asks of it, and what the destination can do for it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.records import Capabilities, Operation, Target
from reverse_etl_assets.spec.policies import BeforeImages
from reverse_etl_assets.spec.sync import Sync

DestinationType = type[BaseDestination[Any, Any]]


@dataclass(frozen=True)
class Route:
    """From the model of a sync to an object of a destination of this type. Needs no credentials, and asks nobody."""

    sync: Sync
    destination: DestinationType

    @cached_property
    def options(self) -> Any:
        """The sync's `options`, as the destination's `Options`. Raises ValidationError if they do not fit; those of
        syncs that were loaded do."""
        return self.destination.Options.model_validate(self.sync.options)

    @cached_property
    def capabilities(self) -> Capabilities:
        """What holds whatever the model's types are."""
        return self.capabilities_for(self.sync.untyped_target)

    def capabilities_for(self, target: Target) -> Capabilities:
        """Of a target with the model's types, or with the operations of an undo."""
        return self.destination.capabilities_for(target, self.options)

    @property
    def reads_back(self) -> bool:
        """Whether the records that the sync writes can be read back."""
        return self.destination.reads_back(self.sync.untyped_target, self.options)

    @property
    def reads_first(self) -> bool:
        """Whether a run looks at each record before it writes it: for a field rule, or for the values an undo puts
        back."""
        if self.sync.mode.writes_once or not self.reads_back:
            return False
        return self.sync.reads_current_values or self.sync.before_images is BeforeImages.DESTINATION

    @property
    def sends_key_as_field(self) -> bool:
        """Whether what a record is matched by was written to it as a mapped field, and not as the key's text."""
        mapped = {field.lower() for field in self.sync.mapping}
        return self.capabilities.key_as_field and self.sync.external_id.lower() in mapped

    @property
    def sends_changed_fields(self) -> bool:
        """Whether of a changed row the changed fields go out alone, for a record keeps what is not named."""
        writes = self.sync.mode.operations & frozenset({Operation.UPSERT, Operation.UPDATE})
        return writes <= self.capabilities.partial and not self.sync.mode.sends_all
