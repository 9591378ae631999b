"""What rooms above may know of the engine of state files: that there is a connection, and that it may fail."""

import duckdb

Connection = duckdb.DuckDBPyConnection
EngineError = duckdb.Error
