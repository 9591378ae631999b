"""`python -m reverse_etl_assets.cli`."""

from reverse_etl_assets.cli import app

app(prog_name="reverse-etl")
