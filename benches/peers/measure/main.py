"""The order of things: install, make, start, prove, measure round by round, tell."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from . import credentials, install, load, proof, publish
from .place import FOLDER, LOAD_CORE, ROOT, fail
from .proxies import PROXIES, Running, start_upstream
from .work import ROWS

# Ports of the proxies; each takes two. Those that live for one load come behind.
FIRST_PORT, FRESH_PORT = 21110, 21180
# What a proxy remembers may be forgotten within the hour.
PRIMED_FOR = 30 * 60


def run(options):
    if options.render:
        return publish.publish(json.loads(Path(options.render).read_text()), options.write)
    if os.cpu_count() < 2:
        fail("two processors are needed: one for the proxy, one for everything else")
    rows = chosen(ROWS, options.rows, "row")
    proxies = chosen(PROXIES, options.proxies, "proxy")
    rounds, seconds = (1, 1) if options.quick else (options.rounds, options.seconds)
    if options.write and (why := publish.obstacle([row.name for row in rows], [proxy.name for proxy in proxies], rounds, options.binary)):
        fail(why)

    install.install_system()
    install.install_wheels()
    install.folder()
    programs = install.programs()
    programs["countersign"] = Path(options.binary).resolve() if options.binary else install.build()
    credentials.make(programs["countersign"], credentials.KNOWN)

    started = [start_upstream(programs["nginx-jwt"])]
    bench = Bench(programs, options.logs, primes=not options.quick)
    try:
        bench.start(proxies)
        for running in bench.running.values():
            print(f"{running.proxy.title}: {proof.prove(running)} answers are as they should be", file=sys.stderr)
        if options.prove:
            return None
        for number in range(rounds + 1):
            # The first round warms up and is not counted.
            if number or not options.quick:
                bench.round(rows, seconds if number else 1, number, rounds)
    finally:
        bench.stop()
        for process in started:
            process.kill()

    result = {
        "measured": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "rounds": rounds,
        "seconds": seconds,
        "logs": options.logs,
        "binary": options.binary,
        "processor": processor(),
        "versions": install.versions(programs),
        "proxies": [proxy.name for proxy in proxies],
        "idle_kib": bench.idle,
        "cells": bench.cells,
    }
    text = json.dumps(result, indent=1) + "\n"
    name = "result-logs.json" if options.logs else "result.json"
    for path in filter(None, (FOLDER / name, options.json)):
        Path(path).write_text(text)
    return publish.publish(result, options.write)


class Bench:
    """All proxies at once, and what they were seen to cost."""

    def __init__(self, programs, logs, primes):
        self.programs, self.logs, self.primes = programs, logs, primes
        self.running, self.idle = {}, {}
        # Row -> proxy -> figure -> one value a round.
        self.cells = {}
        self.primed = {}
        self.awake = None

    def start(self, proxies):
        # Else whoever is slower than the load pays for waking its processor.
        self.awake = subprocess.Popen([ROOT / "scripts" / "awake", str(LOAD_CORE)])
        for number, proxy in enumerate(proxies):
            running = Running(proxy, self.programs[proxy.name], FIRST_PORT + 2 * number, self.logs)
            self.running[proxy.name] = running
            self.idle[proxy.name] = running.meter.resident()

    def stop(self):
        if self.awake:
            self.awake.terminate()
        for running in self.running.values():
            running.stop()

    def round(self, rows, seconds, number, of):
        began = time.monotonic()
        what = f"round {number} of {of}" if number else "warm-up"
        # Another begins each round: who comes first after a pause finds the processor faster, or slower.
        proxies = list(self.running.values())
        first = number % len(proxies)
        proxies = proxies[first:] + proxies[:first]
        for row in rows:
            if sys.stderr.isatty():
                print(f"\r\033[K{what}: {row.title}", end="", file=sys.stderr)
            for running in proxies:
                if row.work in running.proxy.does:
                    cell = self.measure(row, running, seconds, number)
                    if number:
                        self.keep(row, running.proxy, cell)
        print(f"{chr(13) + chr(27) + '[K' if sys.stderr.isatty() else ''}{what}: {time.monotonic() - began:.0f} s", file=sys.stderr)

    def measure(self, row, running, seconds, number):
        if not row.fresh:
            self.prime(row, running)
            return one(row, running, seconds, number)
        alone = Running(running.proxy, self.programs[running.proxy.name], FRESH_PORT, self.logs)
        try:
            return one(row, alone, seconds, 0)
        finally:
            alone.stop()

    def prime(self, row, running):
        key = (row.name, running.proxy.name)
        if self.primes and running.proxy.remembers and 1_000 < row.distinct and PRIMED_FOR < time.monotonic() - self.primed.get(key, -PRIMED_FOR):
            load.prime(row, running)
            self.primed[key] = time.monotonic()

    def keep(self, row, proxy, cell):
        kept = self.cells.setdefault(row.name, {}).setdefault(proxy.name, {})
        for name, value in cell.items():
            kept.setdefault(name, []).append(value)


def one(row, running, seconds, number):
    """One row, one proxy, once."""
    meter = running.meter
    meter.forget_peak()
    before, began = meter.spent(), time.monotonic()
    # Each round begins elsewhere among the tokens.
    told = load.run(row, running, seconds, number * 37_117)
    used, took = meter.spent() - before, time.monotonic() - began
    return {
        "cpu_us": round(1e6 * used / told["count"], 3),
        "rate": told["rate"] and round(told["rate"]),
        "p50_us": round(told["p50_us"]),
        "p99_us": round(told["p99_us"]),
        "busy": round(min(1.0, used / min(took, seconds)), 3),
        "peak_kib": meter.peak(),
        "count": told["count"],
    }


def chosen(every, names, what):
    if not names:
        return every
    names = names.split(",")
    if unknown := set(names) - {one.name for one in every}:
        fail(f"no such {what}: {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in every)}")
    return [one for one in every if one.name in names]


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


