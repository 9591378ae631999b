import pytest

pytest.register_assert_rewrite("reverse_etl_assets.testing.contract", "reverse_etl_assets.testing.harness")
