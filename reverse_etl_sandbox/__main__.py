"""``python -m reverse_etl_sandbox --port 8787``."""

from __future__ import annotations

import argparse
import contextlib

import uvicorn

from reverse_etl_sandbox.app import App, Vendors
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.server import HOST, config, listen


def main() -> None:
    parser = argparse.ArgumentParser(prog="reverse_etl_sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8787, help="0 takes a free one (default: 8787)")
    parser.add_argument("--host", default=HOST, help=f"default: {HOST}; the sandbox has no real authentication")
    asked = parser.parse_args()
    context = Context()
    app = App(context, Vendors(context).vendors)
    sock = listen(asked.host, asked.port)
    print(f"sandbox at http://{asked.host}:{sock.getsockname()[1]}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # the server has shut down by then
        uvicorn.Server(config(app, asked.host, asked.port)).run(sockets=[sock])


if __name__ == "__main__":
    main()
