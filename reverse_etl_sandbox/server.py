"""Starts the sandbox: ``python -m reverse_etl_sandbox --port 8787``, or in tests and benchmarks:

with Sandbox() as sandbox:                # a thread on a free port of 127.0.0.1
    httpx.post(f"{sandbox.url}/rest/orders", json=[{"id": 1}])
    assert len(sandbox.rest.tables["orders"].live()) == 1

with Sandbox.spawn() as remote:           # its own process, controlled over HTTP only
    remote.fault("drop_after", vendor="rest", next=1)
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn

from reverse_etl_sandbox.app import App, Vendors
from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.gate import Context

HOST = "127.0.0.1"
START_SECONDS = 20.0


def config(app: App, host: str = HOST, port: int = 0) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )


def listen(host: str = HOST, port: int = 0) -> socket.socket:
    """A listening socket, so that the port is known (and connections wait) before the server runs."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(2_048)
    return sock


class Sandbox(Vendors):
    """The sandbox in a thread of this process. ``clock`` gives seconds since 1970; tests may pass their own."""

    def __init__(self, clock: Callable[[], float] = time.time, **settings: Any) -> None:
        context = Context(clock=clock)
        context.settings.change(settings)
        super().__init__(context)
        self.context, self.app = context, App(context, self.vendors)
        self.faults = self.context.faults
        self.settings = self.context.settings
        self.log = self.context.log
        self.url = ""

    def __enter__(self) -> Self:
        self._socket = listen()
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(config(self.app))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="sandbox", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.005)
            if not self._thread.is_alive():
                raise RuntimeError("the sandbox did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._socket.close()

    def fault(self, kind: str, **options: Any) -> Fault:
        """Switch a fault on; see ``Fault`` for the options."""
        return self.faults.add(kind, **options)

    def reset(self) -> None:
        """Forget records, log, faults, limits used, and settings. Tokens stay valid."""
        self.app.control.reset()

    def counts(self) -> dict[str, Any]:
        return self.app.control.counts()

    def edit(
        self, vendor: str, object_name: str, record_id: str, values: dict[str, Any], at: float | None = None
    ) -> None:
        """Change a record as a person would; see ``People`` for this and the next three."""
        self.app.control.people.edit(vendor, object_name, record_id, values, at)

    def add(self, vendor: str, object_name: str, values: dict[str, Any], at: float | None = None) -> str:
        return self.app.control.people.add(vendor, object_name, values, at)

    def remove(self, vendor: str, object_name: str, record_id: str) -> None:
        self.app.control.people.remove(vendor, object_name, record_id)

    def duplicate(self, vendor: str, object_name: str, record_id: str, at: float | None = None) -> str:
        return self.app.control.people.duplicate(vendor, object_name, record_id, at)

    def snapshot(self, vendor: str, object_name: str, *, ids: bool = True) -> bytes:
        """All live records of an object with all their values, to compare byte for byte; see ``Table.snapshot``."""
        return self.app.control.people.table(vendor, object_name).snapshot(ids=ids)

    @staticmethod
    def spawn(**settings: Any) -> RemoteSandbox:
        """The sandbox in a process of its own."""
        return RemoteSandbox(settings)


class RemoteSandbox:
    """A sandbox in its own process, controlled over HTTP. Use it as a context manager."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "reverse_etl_sandbox", "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        # The first line is written once the port is open.
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        self.url = line.strip().rpartition(" ")[2]
        if not self.url:
            raise RuntimeError(f"the sandbox did not start; its exit code is {self._process.wait(START_SECONDS)}")
        self._http = httpx.Client(base_url=self.url, timeout=START_SECONDS, trust_env=False)
        if self._settings:
            self.set(**self._settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait(START_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fault(self, kind: str, **options: Any) -> dict[str, Any]:
        """Switch a fault on; see ``Fault`` for the options."""
        added: dict[str, Any] = self._call("POST", "faults", {"kind": kind, **options})
        return added

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def set(self, **settings: Any) -> None:
        """Change settings; see ``Settings``."""
        self._call("POST", "settings", settings)

    def reset(self) -> None:
        self._call("POST", "reset")

    def counts(self) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", "counts")
        return found

    def log(self, vendor: str = "", after: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", f"log?vendor={vendor}&after={after}&limit=10000")
        return found

    def records(self, vendor: str, object_name: str, q: str = "") -> list[dict[str, Any]]:
        path = f"records/{vendor}/{object_name}"
        found: list[dict[str, Any]] = self._call("GET", f"{path}?limit=1000000", params={"q": q})["records"]
        return found

    def edit(
        self, vendor: str, object_name: str, record_id: str, values: dict[str, Any], at: float | None = None
    ) -> None:
        """Change a record as a person would; see ``People`` for this and the next three."""
        self._call("PATCH", f"records/{vendor}/{object_name}/{record_id}", values, params=_at(at))

    def add(self, vendor: str, object_name: str, values: dict[str, Any], at: float | None = None) -> str:
        return str(self._call("POST", f"records/{vendor}/{object_name}", values, params=_at(at))["id"])

    def remove(self, vendor: str, object_name: str, record_id: str) -> None:
        self._call("DELETE", f"records/{vendor}/{object_name}/{record_id}")

    def duplicate(self, vendor: str, object_name: str, record_id: str, at: float | None = None) -> str:
        path = f"records/{vendor}/{object_name}/{record_id}/duplicate"
        return str(self._call("POST", path, params=_at(at))["id"])

    def snapshot(self, vendor: str, object_name: str, *, ids: bool = True) -> bytes:
        """All live records of an object with all their values, to compare byte for byte; see ``Table.snapshot``."""
        return self._asked("GET", f"snapshot/{vendor}/{object_name}", params={"ids": str(ids).lower()}).content

    def _call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        response = self._asked(method, path, json=body, **more)
        return response.json() if response.content else None

    def _asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        response = self._http.request(method, f"/_sandbox/{path}", **more)
        if response.is_error:
            raise ValueError(f"sandbox: {response.text}")
        return response


def _at(seconds: float | None) -> dict[str, float]:
    return {} if seconds is None else {"at": seconds}
