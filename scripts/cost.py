"""What the scripts that measure share: the binaries, and a wait for whoever is to listen."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fail(message):
    """Ends the script that was started, with its name."""
    sys.exit(f"scripts/{Path(sys.argv[0]).name}: {message}")


def cost_binary():
    """The bench binary that COST_BINARY names, to compare builds; else one of the profile `dist`."""
    return os.environ.get("COST_BINARY") or built("--example", "cost")


def countersign_binary():
    """The proxy that BINARY names, such as a trained one; else one of the profile `dist`, which is what ships."""
    return os.environ.get("BINARY") or built("--bin", "countersign")


def built(kind, name):
    """Builds what cargo calls so and returns its path."""
    command = ["cargo", "build", "--locked", "--profile", "dist", kind, name, "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        fail(f"`{name}` does not build")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    fail("cargo named no executable")


def ready(address):
    """Waits until something answers at `address`; a minute at most, since a million keys are read first."""
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://{address}/open/1", timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    fail(f"nothing answers on {address}")
