"""Runs a row's load against one proxy and reads what came of it: wrk for HTTP/1.1, h2load for HTTP/2."""

import json
import re
import subprocess
import time

from .place import CONFS, CREDENTIALS, FOLDER, beside, environment, fail

CONNECTIONS = 32
# 32 requests at once over HTTP/2 as well.
H2_CONNECTIONS, H2_STREAMS = 8, 4


def run(row, running, seconds, offset=0):
    """One load. Returns what was answered: `count`, `rate`, `p50_us`, `p99_us`."""
    told = (by_wrk if row.tool == "wrk" else by_h2load)(row, running, seconds, offset)
    if told["count"] == 0 or told["errors"] != 0:
        fail(f"{running.proxy.title}, {row.title}: {told['errors']} requests came to nothing, {told['count']} were answered")
    if told["refused"] not in (0, told["count"]) or (told["refused"] == 0) != (row.status < 400):
        fail(f"{running.proxy.title}, {row.title}: {told['refused']} of {told['count']} were refused")
    return told


def by_wrk(row, running, seconds, offset):
    values = environment(
        TARGET=row.target, METHOD=row.method, BODY=row.body, FIELD=row.field, DISTINCT=row.distinct, OFFSET=offset,
        CREDENTIALS=CREDENTIALS / row.credentials if row.credentials else "", ONCE=int(row.fresh), CONNECTIONS=CONNECTIONS)
    command = beside("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", CONFS / "requests.lua", f"http://{running.plain}")
    done = subprocess.run(command, env=values, stdout=subprocess.PIPE, text=True)
    line = re.search(r"^TOLD (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or not line:
        fail(f"{running.proxy.title}, {row.title}: wrk told nothing: {done.stdout}")
    told = json.loads(line.group(1))
    if told["bytes"] < told["count"] * row.answer:
        fail(f"{running.proxy.title}, {row.title}: {told['bytes']} bytes came in {told['count']} answers")
    # A load that ran out of credentials idled for the rest of its time.
    ended_early = row.fresh and row.distinct - 2 * CONNECTIONS <= told["count"]
    told["rate"] = None if ended_early else 1e6 * told["count"] / told["micros"]
    return told


def by_h2load(row, running, seconds, _offset):
    log = FOLDER / "h2load.log"
    log.unlink(missing_ok=True)
    command = beside("h2load", "-t1", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", f"-D{seconds}", f"--log-file={log}",
                     "-H", "accept: application/json")
    if row.credentials:
        with (CREDENTIALS / row.credentials).open() as lines:
            command += ["-H", row.field.lower().replace("bearer", "Bearer") + lines.readline().strip()]
    began = time.monotonic()
    done = subprocess.run([*command, f"https://{running.tls}{row.target}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    took = time.monotonic() - began
    if done.returncode or "Application protocol: h2" not in done.stdout:
        fail(f"{running.proxy.title}, {row.title}: h2load: {done.stdout[-2000:]}")
    # A line a request: when it began, its status, microseconds.
    times, refused, errors = [], 0, 0
    for line in log.read_text().splitlines():
        _, status, micros = line.split("\t")
        if status == "-1":
            errors += 1
            continue
        refused += 400 <= int(status)
        times.append(int(micros))
    log.unlink()
    times.sort()
    told = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", done.stdout)
    rate = float(told.group(1)) if told else len(times) / took
    return {"count": len(times), "errors": errors, "refused": refused, "rate": rate, "p50_us": at(times, 0.5), "p99_us": at(times, 0.99)}


def at(times, share):
    """The value that this share of the sorted values is below."""
    return times[min(len(times) - 1, int(share * len(times)))] if times else 0


def prime(row, running):
    """Lets a proxy that remembers see all tokens of a row before it is measured."""
    seen = 0
    while seen < row.distinct:
        seen += run(row, running, 2, seen)["count"]
