"""``python -m reverse_etl_sandbox --port 8787``."""

from __future__ import annotations

import argparse
import contextlib
import json

import uvicorn

from reverse_etl_sandbox.accounts import accounts
from reverse_etl_sandbox.app import App, Vendors
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.server import HOST, config, listen


def main() -> None:
    parser = argparse.ArgumentParser(prog="reverse_etl_sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8787, help="0 takes a free one (default: 8787)")
    parser.add_argument("--host", default=HOST, help=f"default: {HOST}; the sandbox has no real authentication")
    parser.add_argument("--json", action="store_true", help="say as JSON where it is and what signs in")
    asked = parser.parse_args()
    context = Context()
    app = App(context, Vendors(context).vendors)
    try:
        sock = listen(asked.host, asked.port)
    except (OSError, OverflowError) as error:
        parser.exit(2, f"port {asked.port} of {asked.host} cannot be used: {error}\n")
    url = f"http://{asked.host}:{sock.getsockname()[1]}"
    print(json.dumps({"url": url, "accounts": accounts(url)}) if asked.json else f"sandbox at {url}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # the server has shut down by then
        uvicorn.Server(config(app, asked.host, asked.port)).run(sockets=[sock])


if __name__ == "__main__":
    main()
