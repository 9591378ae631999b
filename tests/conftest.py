"""What many tests share: the vendors' sandbox, and a small shop to run syncs in."""

import gc
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from reverse_etl_sandbox.server import RemoteSandbox, Sandbox
from tests.engine.shop import Shop
from tests.once import Once

if TYPE_CHECKING:
    from tests.engine.launcher import Launcher


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays to the end: looking through it for garbage would be a third of the time that it takes."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heard() -> None:
    """What a shell starts in the background ignores Ctrl-C, what `nohup` starts the end of its terminal; and so would
    all processes that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """A client reads all authorities of the web, which takes longer than most tests, and the sandbox has no TLS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    return Once.of(tmp_path_factory)


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sparse", action="store_true", help="the vendors answer no more than they promise")


@pytest.fixture
def sandbox(running_sandbox: Sandbox, request: pytest.FixtureRequest) -> Sandbox:
    """The vendors on loopback, empty, without faults and with limits that no test reaches by chance."""
    running_sandbox.reset()
    sparse = request.config.getoption("--sparse")
    running_sandbox.settings.change({"hubspot_ten_second_requests": 1_000_000, "sparse": sparse})
    return running_sandbox


@pytest.fixture(scope="session")
def other_process() -> Iterator[RemoteSandbox]:
    """The vendors in a process of their own, as the test before has left them."""
    with Sandbox.spawn() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def launcher() -> Iterator["Launcher"]:
    """Runs syncs in processes that can be killed."""
    from tests.engine.launcher import Launcher

    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A warehouse file, a state folder and a journal of the test's own."""
    shop = Shop(tmp_path)
    yield shop
    shop.close()
