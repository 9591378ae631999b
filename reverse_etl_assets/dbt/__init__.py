"""What dbt knows: its manifest and profile, and what its builds and tests said last."""
