"""The vendors' APIs on loopback: strict, with faults to switch on. ``Sandbox`` starts it."""

from reverse_etl_sandbox.faults import row_is_hit
from reverse_etl_sandbox.server import RemoteSandbox, Sandbox

__all__ = ["RemoteSandbox", "Sandbox", "row_is_hit"]
