"""Before anything is measured: every proxy lets in what is good, shows the upstream who it is and no credential, and refuses
everything else. One that does not check is not compared."""

import http.client
import json
import ssl
import subprocess
from functools import cache

from .place import CREDENTIALS, fail


def prove(running):
    """Asks one proxy everything that it says it can do; returns how many answers were compared."""
    wrong, asked = [], 0

    def expect(what, path, fields, status, body=None, method="GET", sent=None, tls=False):
        nonlocal asked
        asked += 1
        got, text = ask(running.tls if tls else running.plain, path, fields, method, sent, tls)
        if got not in (status if isinstance(status, tuple) else (status,)) or (body is not None and text != body):
            wrong.append(f"  {what}: {got} {text[:80]!r}, not {status} {'' if body is None else body[:80]!r}")

    expect("an open path", "/open/echo", {}, 200, "||")
    expect("1 KiB down", "/open/1k", {}, 200, "0123456789abcdef" * 64)
    expect("1 KiB down, chunked", "/open/chunked", {}, 200, "0123456789abcdef" * 64)
    expect("1 MiB down", "/open/1m", {}, 200, "0123456789abcdef" * 65_536)
    expect("1 KiB up", "/open/up", {}, 200, "1024", "POST", b"x" * 1_024)
    expect("1 MiB up", "/open/up", {}, 200, "1048576", "POST", b"x" * 1_048_576)
    expect("an open path by TLS", "/open/echo", {}, 200, "||", tls=True)

    for algorithm in sorted({"rs256", "es256"} & running.proxy.does):
        path = f"/{algorithm}/echo"
        good = lines(f"{algorithm}.txt")
        # Twice, so that what is remembered is seen as well.
        for number in (0, 17, 999, 99_999) * 2:
            for tls in (False, True):
                expect(f"token {number}", path, bearer(good[number]), 200, f"caller-{number}||", tls=tls)
        expect("1 KiB down with a token", f"/{algorithm}/1k", bearer(good[0]), 200, "0123456789abcdef" * 64)
        other = lines("es256.txt" if algorithm == "rs256" else "rs256.txt")[0]
        bad = json.loads((CREDENTIALS / f"{algorithm}.bad.json").read_text())
        bad |= {
            "forged": lines(f"{algorithm}.forged.txt")[0],
            "expired": lines(f"{algorithm}.expired.txt")[0],
            "by a key of another algorithm": other,
            "cut short": good[0][:-1],
        }
        expect(f"{algorithm}: nothing presented", path, {}, 401)
        for what, token in bad.items():
            for tls in (False, True):
                # Envoy says 403 to a token for somebody else.
                expect(f"{algorithm}: {what}", path, bearer(token), (401, 403) if what == "for somebody else" else 401, tls=tls)
        # Whoever names themselves is not believed.
        expect("a subject from outside", path, bearer(good[0]) | {"X-Auth-Subject": "root"}, 200, "caller-0||")

    if "key" in running.proxy.does:
        good = lines("key.txt")
        for number in (0, 17, 999):
            expect(f"key {number}", "/key/echo", {"X-Api-Key": good[number]}, 200, f"client-{number}||")
        expect("no key", "/key/echo", {}, 401)
        for key in (lines("key.forged.txt")[0], *lines("key.bad.txt"), good[0] + "A", good[0][:-1]):
            expect("a wrong key", "/key/echo", {"X-Api-Key": key}, 401)
        expect("a subject from outside", "/key/echo", {"X-Api-Key": good[0], "X-Auth-Subject": "root"}, 200, "client-0||")

    asked += 1
    spoken = subprocess.run(["h2load", "-n1", "-c1", f"https://{running.tls}/open/echo"], capture_output=True, text=True).stdout
    if "Application protocol: h2" not in spoken or "1 2xx" not in spoken:
        wrong.append("  it does not speak HTTP/2 over TLS")
    if wrong:
        fail(f"{running.proxy.title} does not do what it is compared for:\n" + "\n".join(wrong))
    return asked


@cache
def lines(name):
    """The credentials of one file."""
    return (CREDENTIALS / name).read_text().splitlines()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def ask(address, path, fields, method, sent, tls):
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(address, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection(address, timeout=10)
    try:
        # The host that the load names too.
        connection.request(method, path, sent, {"Host": "api.example", **fields})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()
