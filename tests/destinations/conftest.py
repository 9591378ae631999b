import pytest

for module in ("contract", "abilities", "reading", "harness"):
    pytest.register_assert_rewrite(f"reverse_etl_assets.testing.{module}")
