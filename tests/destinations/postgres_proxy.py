"""Stands between a destination and a PostgreSQL server, and breaks off when a transaction is to be committed."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit


class Cut(StrEnum):
    BEFORE = "before"  # the server never hears of it
    AFTER = "after"  # it is done, and nobody hears of it
    FROZEN = "frozen"  # it is done, and the line stays silent


class Proxy:
    """Passes bytes on. Of the commits that come by, those that `due` is true of meet the cut."""

    def __init__(self, url: str) -> None:
        self._server = f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.split("?")[0].replace("@/", f"@127.0.0.1:{port}/") + "?sslmode=disable"
        self.cut: Cut | None = None
        self.due: Callable[[], bool] = lambda: True
        self.reached = threading.Event()
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                server.connect(self._server)
                silent = threading.Event()
                self._start(self._requests, client, server, silent)
                self._start(self._answers, client, server, silent)

    def _requests(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if self.cut and b"COMMIT" in data and self.due():
                    silent.set()
                    if self.cut is Cut.BEFORE:
                        break
                server.sendall(data)
            if not silent.is_set() or self.cut is Cut.BEFORE:
                self._hang_up(client, server)

    def _answers(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if silent.is_set():
                    self.reached.set()
                    if self.cut is Cut.FROZEN:
                        return
                    break
                client.sendall(data)
            self._hang_up(client, server)

    def _hang_up(self, *both: socket.socket) -> None:
        for each in both:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def between(url: str) -> Iterator[Proxy]:
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
