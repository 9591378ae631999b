"""A sync's YAML as a model, checked when syncs are loaded: errors with file and line."""
