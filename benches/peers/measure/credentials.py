"""Keys and credentials of every kind, made once and kept until they are about to run out.

A hundred thousand tokens of each algorithm are signed by `cryptography` on every processor; server keys are digested by
`countersign keys hash`, as an operator would.
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .place import CREDENTIALS, FOLDER, fail

ISSUER, AUDIENCE = "https://id.example", "app"
TOKENS, KNOWN = 100_000, 1_000
LIFE, LEAST = 14 * 86_400, 2 * 86_400
ALGORITHMS = ("rs256", "es256")
# A change of what is made makes everything anew.
FORM = "1"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(number, now, **more):
    """A token of the size that issuers make."""
    told = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": f"caller-{number}", "iat": now - 60, "exp": now + LIFE,
        "email": "anna@example.org", "email_verified": True, "name": "Anna Example", "scope": "orders:read orders:write",
        "azp": "web", "sid": "8f0c2a1e-5b7d-4a39-9c55-0d6f1c1f2f11",
    }
    return {**told, **more}


class Signer:
    """Signs compact tokens with a private key in a PEM file; its header names `kid`."""

    def __init__(self, path, algorithm, kid):
        from cryptography.hazmat.primitives import hashes, serialization

        self.key = serialization.load_pem_private_key(path.read_bytes(), None)
        self.algorithm, self.hash = algorithm, hashes.SHA256()
        self.header = encode(json.dumps({"alg": algorithm.upper(), "typ": "JWT", "kid": kid}, separators=(",", ":")).encode())

    def sign(self, payload):
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        signed = f"{self.header}.{encode(json.dumps(payload, separators=(',', ':')).encode())}"
        if self.algorithm == "rs256":
            signature = self.key.sign(signed.encode(), padding.PKCS1v15(), self.hash)
        else:
            r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(self.hash)))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signed}.{encode(signature)}"


def sign_range(algorithm, begin, end, now):
    """One worker's share of the tokens."""
    from .place import PYTHON

    if str(PYTHON) not in sys.path:
        sys.path.insert(0, str(PYTHON))
    signer = Signer(CREDENTIALS / f"{algorithm}.pem", algorithm, algorithm)
    return [signer.sign(claims(number, now)) for number in range(begin, end)]


def write(name, lines):
    (CREDENTIALS / name).write_text("".join(f"{line}\n" for line in lines))


def make(binary, keys):
    """Everything, or nothing if what was made before is good for some days."""
    stamp = CREDENTIALS / "made"
    if stamp.exists():
        form, _, until = stamp.read_text().partition(" ")
        if form == FORM and time.time() + LEAST < float(until):
            return
    print("making keys and tokens; about a minute, kept for some days", file=sys.stderr)
    shutil.rmtree(CREDENTIALS, ignore_errors=True)
    CREDENTIALS.mkdir(parents=True)
    now = int(time.time())
    make_keys()
    share = TOKENS // 50
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        for algorithm in ALGORITHMS:
            parts = [workers.submit(sign_range, algorithm, begin, begin + share, now) for begin in range(0, TOKENS, share)]
            write(f"{algorithm}.txt", (token for part in parts for token in part.result()))
    for algorithm in ALGORITHMS:
        make_bad(algorithm, now)
    make_server_keys(binary, keys)
    stamp.write_text(f"{FORM} {now + LIFE}")


def make_keys():
    """Key pairs, by openssl; their public halves as PEM and as a key set; a certificate for TLS."""
    from cryptography.hazmat.primitives import serialization

    generate = {"rs256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "es256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}
    for algorithm, kind in generate.items():
        for name in (algorithm, f"{algorithm}.stranger"):
            path = CREDENTIALS / f"{name}.pem"
            run("openssl", "genpkey", "-quiet", "-algorithm", *kind, "-out", path)
            run("openssl", "pkey", "-in", path, "-pubout", "-out", FOLDER / f"{name}.public.pem")
        public = serialization.load_pem_public_key((FOLDER / f"{algorithm}.public.pem").read_bytes()).public_numbers()
        jwk = {"kid": algorithm, "use": "sig", "alg": algorithm.upper()}
        if algorithm == "rs256":
            jwk |= {"kty": "RSA", "n": encode(public.n.to_bytes(256, "big")), "e": encode(public.e.to_bytes(3, "big"))}
        else:
            jwk |= {"kty": "EC", "crv": "P-256", "x": encode(public.x.to_bytes(32, "big")), "y": encode(public.y.to_bytes(32, "big"))}
        (FOLDER / f"{algorithm}.jwks.json").write_text(json.dumps({"keys": [jwk]}))
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
        "/CN=api.example", "-addext", "subjectAltName=DNS:api.example,IP:127.0.0.1",
        "-keyout", FOLDER / "tls.key", "-out", FOLDER / "tls.pem")
    # HAProxy wants both in one.
    (FOLDER / "tls-both.pem").write_text((FOLDER / "tls.pem").read_text() + (FOLDER / "tls.key").read_text())
    (FOLDER / "tls.key").chmod(0o600)


def make_bad(algorithm, now):
    """Tokens that must be refused: a thousand forged and expired ones for the load, one of each other kind for the proof."""
    signer = Signer(CREDENTIALS / f"{algorithm}.pem", algorithm, algorithm)
    stranger = Signer(CREDENTIALS / f"{algorithm}.stranger.pem", algorithm, algorithm)
    write(f"{algorithm}.forged.txt", (stranger.sign(claims(number, now)) for number in range(KNOWN)))
    ended = {"iat": now - 7_200, "exp": now - 3_600}
    write(f"{algorithm}.expired.txt", (signer.sign(claims(number, now, **ended)) for number in range(KNOWN)))

    good = signer.sign(claims(0, now))
    header, _, signature = good.split(".")
    other = encode(json.dumps(claims(1, now), separators=(",", ":")).encode())
    unsigned = encode(b'{"alg":"none","typ":"JWT"}')
    # The public key as the secret of a shared one.
    confused = f"{encode(json.dumps({'alg': 'HS256', 'typ': 'JWT', 'kid': algorithm}).encode())}.{other}"
    mac = hmac.new((FOLDER / f"{algorithm}.public.pem").read_bytes(), confused.encode(), hashlib.sha256).digest()
    (CREDENTIALS / f"{algorithm}.bad.json").write_text(json.dumps({
        "for somebody else": signer.sign(claims(0, now, aud="another")),
        "by another issuer": signer.sign(claims(0, now, iss="https://other.example")),
        "with other claims under the signature": f"{header}.{other}.{signature}",
        "not signed": f"{unsigned}.{other}.",
        "signed with the public key as a secret": f"{confused}.{encode(mac)}",
        "no token": "garbage",
    }))


def make_server_keys(binary, count):
    """API keys: to Countersign as digests, to the others as they are."""
    pepper = FOLDER / "pepper"
    pepper.write_text("a pepper for benches, 0123456789abcdef")
    presented, digests = [], []
    for number in range(count):
        client, secret = f"client-{number}", encode(os.urandom(24))
        told = subprocess.run(
            [binary, "keys", "hash", "--id", client, "--secret", "env:SECRET", "--pepper", f"file:{pepper}"],
            env=dict(os.environ, SECRET=secret), capture_output=True, text=True)
        if told.returncode != 0:
            fail(f"a server key could not be made: {told.stderr}")
        digests.append(told.stdout)
        presented.append((client, base64.b64encode(f"{client}:{secret}".encode()).decode()))
    (FOLDER / "keys.jsonl").write_text("".join(digests))
    (FOLDER / "keys.haproxy").write_text("".join(f"{key} {client}\n" for client, key in presented))
    (FOLDER / "keys.nginx").write_text("".join(f'"{key}" {client};\n' for client, key in presented))
    (FOLDER / "keys.envoy").write_text("".join(f'{{ key: "{key}", client: {client} }}\n' for client, key in presented))
    write("key.txt", (key for _, key in presented))
    wrong = (base64.b64encode(f"{client}:{encode(os.urandom(24))}".encode()).decode() for client, _ in presented)
    write("key.forged.txt", wrong)
    write("key.bad.txt", [base64.b64encode(b"stranger:a secret of good length").decode(), "garbage"])


def run(*command):
    told = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if told.returncode != 0:
        fail(f"{command[0]}: {told.stderr}")
