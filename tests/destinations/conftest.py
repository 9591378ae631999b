from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a real PostgreSQL server, for its owner."""
    from demo.database import embedded_server

    with embedded_server() as url:
        yield url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of sparse vendors only the contract is asked."""
    from reverse_etl_assets.testing.harness import Harness

    def is_contract(item: pytest.Item) -> bool:
        return isinstance(item, pytest.Function) and item.cls is not None and issubclass(item.cls, Harness)

    if config.getoption("--sparse"):
        items[:] = filter(is_contract, items)
