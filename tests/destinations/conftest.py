from collections.abc import Iterator

import pytest

for module in ("contract", "abilities", "reading", "harness"):
    pytest.register_assert_rewrite(f"reverse_etl_assets.testing.{module}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a real PostgreSQL server, for its owner."""
    from reverse_etl_assets.demo.database import embedded_server

    with embedded_server() as url:
        yield url
