"""The same code location, for a team that lives in components."""
