"""The proxies: which conf, started how, able to do what."""

import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from .meter import Meter
from .place import CONFS, FOLDER, HOST, UPSTREAM, alone, beside, environment, fail


@dataclass(frozen=True)
class Proxy:
    """One proxy as it is compared."""

    name: str
    title: str
    conf: str
    # The command after the program; `{conf}` is the written conf.
    arguments: tuple
    # The kinds of work that it can do.
    does: frozenset
    # What `@LOG@` and `@LOG_TO@` become without an access log, and with one.
    silent: dict
    logging: dict
    environment: dict = field(default_factory=dict)
    # Whether it remembers verified tokens.
    remembers: bool = False


def able(*works):
    return frozenset(("open", *works))


ENVOY_LOG = (
    'access_log: [{ name: file, typed_config: { "@type": '
    "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null } }]"
)

PROXIES = [
    Proxy("countersign", "Countersign", "countersign.yaml", ("run", "--log", "warn", "-c", "{conf}"), able("rs256", "es256", "key"),
          {"LOG": "nowhere"}, {"LOG": "stdout"}, remembers=True),
    Proxy("haproxy", "HAProxy", "haproxy.cfg", ("-db", "-f", "{conf}"), able("rs256", "es256", "key"),
          {"LOG": "no log", "LOG_TO": ""}, {"LOG": "log global\n    option httplog", "LOG_TO": "log stdout format raw local0"}),
    Proxy("envoy", "Envoy", "envoy.yaml", ("-c", "{conf}", "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"),
          able("rs256", "es256", "key"), {"LOG": ""}, {"LOG": ENVOY_LOG}, remembers=True),
    Proxy("nginx", "nginx", "nginx.conf", ("-e", "stderr", "-p", "{folder}", "-c", "{conf}"), able("key"),
          {"LOG": "access_log off;"}, {"LOG": "access_log /dev/null combined buffer=64k flush=1s;"}),
    Proxy("nginx-jwt", "nginx + auth_jwt", "nginx-jwt.conf", ("-e", "stderr", "-p", "{folder}", "-c", "{conf}"), able("rs256", "es256"),
          {"LOG": "access_log off;"}, {"LOG": "access_log /dev/null combined buffer=64k flush=1s;"}),
    Proxy("caddy", "Caddy", "Caddyfile", ("run", "--config", "{conf}", "--adapter", "caddyfile"), able(),
          {"LOG": ""}, {"LOG": "log {\n\t\toutput stdout\n\t}"},
          {"GOMAXPROCS": "1", "HOME": "{folder}", "XDG_DATA_HOME": "{folder}", "XDG_CONFIG_HOME": "{folder}"}),
]


class Running:
    """A proxy that serves, alone on its core with the others that are idle. Ports are `port` in the clear and `port + 1` by TLS."""

    def __init__(self, proxy, program, port, logs):
        self.proxy = proxy
        self.plain, self.tls = f"{HOST}:{port}", f"{HOST}:{port + 1}"
        self.conf = FOLDER / f"{port}-{proxy.conf}"
        self.conf.write_text(fill(proxy.conf, {
            "NAME": f"{proxy.name}-{port}", "PLAIN": self.plain, "TLS": self.tls, "PLAIN_PORT": port, "TLS_PORT": port + 1,
            **(proxy.logging if logs else proxy.silent),
        }))
        # Confs of Countersign hold no secrets here, and are not readable by all all the same.
        self.conf.chmod(0o600)
        arguments = [text.format(conf=self.conf, folder=FOLDER) for text in proxy.arguments]
        more = {name: text.format(folder=FOLDER) for name, text in proxy.environment.items()}
        self.said = FOLDER / f"{port}-{proxy.name}.log"
        # Access logs go to /dev/null; what a proxy complains of is kept.
        with self.said.open("wb") as said, open("/dev/null", "wb") as null:
            self.process = subprocess.Popen(
                alone(program, *arguments), stdin=subprocess.DEVNULL, stdout=null, stderr=said, env=environment(**more))
        self.meter = Meter(self.process.pid)
        ready(self.plain, self)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_upstream(program):
    """The service behind all of them."""
    body = b"0123456789abcdef"
    (FOLDER / "served" / "1k").write_bytes(body * 64)
    (FOLDER / "served" / "1m").write_bytes(body * 65_536)
    conf = FOLDER / "upstream.conf"
    conf.write_text(fill("upstream.conf", {}))
    process = subprocess.Popen(beside(program, "-e", "stderr", "-p", FOLDER, "-c", conf), stdin=subprocess.DEVNULL)
    ready(UPSTREAM, None)
    return process


def fill(name, values):
    """A conf with its places filled in."""
    text = (CONFS / name).read_text()
    values = {"FOLDER": FOLDER, "HOST": HOST, "UPSTREAM": UPSTREAM, "UPSTREAM_PORT": UPSTREAM.rpartition(":")[2], **values}
    if "@KEYS@" in text:
        lines = (FOLDER / "keys.envoy").read_text().splitlines()
        values["KEYS"] = "\n".join(f"                        - {line}" for line in lines)
    for place, value in values.items():
        text = text.replace(f"@{place}@", str(value))
    return text


def ready(address, running):
    for _ in range(600):
        if running and running.process.poll() is not None:
            fail(f"{running.proxy.title} ended: {running.said.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(f"http://{address}/open/ready", timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    fail(f"nothing answers on {address}; {Path(running.said).read_text()[-2000:] if running else 'the upstream is silent'}")
