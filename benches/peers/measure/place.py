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


def on(core, *command, **more):
    """Starts a process on one core."""
    return subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stdin=subprocess.DEVNULL, **more)


def environment(**more):
    return dict(os.environ, **{name: str(value) for name, value in more.items()})
