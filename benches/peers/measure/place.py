"""Where everything lies and listens. Nothing is written outside `target/peers` unless the result is published."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONFS = ROOT / "benches" / "peers"
FOLDER = ROOT / "target" / "peers"
CREDENTIALS = FOLDER / "credentials"
PYTHON = FOLDER / "python"

HOST = "127.0.0.1"
UPSTREAM = f"{HOST}:21100"
# The proxy under test alone on one, the load and the upstream on the other.
PROXY_CORE, LOAD_CORE = 0, 1


def fail(message):
    sys.exit(f"benches/peers/run: {message}")


def beside(*command):
    """A command as what it starts runs beside the proxy: on the other core, and woken without an interrupt (benches/awake.rs)."""
    return ["chrt", "--batch", "0", "taskset", "-c", str(LOAD_CORE), *map(str, command)]


def alone(*command):
    """A command as what it starts runs on the proxies' core."""
    return ["taskset", "-c", str(PROXY_CORE), *map(str, command)]


def environment(**more):
    return dict(os.environ, **{name: str(value) for name, value in more.items()})
