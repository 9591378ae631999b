from collections.abc import Iterator

import pytest

from reverse_etl_assets.sandbox.server import Sandbox

pytest.register_assert_rewrite("reverse_etl_assets.testing.contract", "reverse_etl_assets.testing.harness")


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox
