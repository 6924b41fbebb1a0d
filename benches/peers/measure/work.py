"""The rows: what is asked of every proxy that can do it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One kind of request, sent as fast as it is answered."""

    name: str
    title: str
    # The kind of work, and the first segment of the path.
    work: str
    group: str
    status: int = 200
    path: str = "orders/17"
    method: str = "GET"
    # Bytes of body sent, and of body that each answer has at least.
    body: int = 0
    answer: int = 0
    # The file of credentials, and how many of its lines take turns.
    credentials: str = ""
    distinct: int = 0
    # `wrk` for HTTP/1.1 in the clear, `h2load` for HTTP/2 over TLS.
    tool: str = "wrk"
    # A process of its own each round, to which no credential comes twice.
    fresh: bool = False

    @property
    def field(self):
        """The text before a credential."""
        return "X-Api-Key: " if self.work == "key" else "Authorization: Bearer "

    @property
    def target(self):
        return f"/{self.work}/{self.path}"


def tokens(algorithm):
    """The rows of one algorithm."""
    title = algorithm.upper()
    every = {"work": algorithm, "group": "accepted", "credentials": f"{algorithm}.txt"}
    return [
        Row(f"{algorithm}-1", f"{title}, 1 token", distinct=1, **every),
        Row(f"{algorithm}-1k", f"{title}, 1,000 tokens", distinct=1_000, **every),
        Row(f"{algorithm}-100k", f"{title}, 100,000 tokens", distinct=100_000, **every),
        Row(f"{algorithm}-new", f"{title}, every token new", distinct=100_000, fresh=True, **every),
    ]


ROWS = [
    Row("open", "pass-through", "open", "accepted"),
    *tokens("rs256"),
    *tokens("es256"),
    Row("key", "API key, 1,000 keys", "key", "accepted", credentials="key.txt", distinct=1_000),
    Row("missing", "no token", "rs256", "refused", 401),
    Row("expired", "RS256, expired", "rs256", "refused", 401, credentials="rs256.expired.txt", distinct=1_000),
    Row("forged", "RS256, forged", "rs256", "refused", 401, credentials="rs256.forged.txt", distinct=1_000),
    Row("forged-es256", "ES256, forged", "es256", "refused", 401, credentials="es256.forged.txt", distinct=1_000),
    Row("wrong-key", "API key, wrong", "key", "refused", 401, credentials="key.forged.txt", distinct=1_000),
    Row("h2-open", "TLS and HTTP/2, pass-through", "open", "tls", tool="h2load"),
    Row("h2-rs256", "TLS and HTTP/2, RS256, 1 token", "rs256", "tls", tool="h2load", credentials="rs256.txt", distinct=1),
    Row("down-1k", "1 KiB down", "open", "bodies", path="1k", answer=1_024),
    # A length that nobody says beforehand, as most applications reply.
    Row("down-1k-chunked", "1 KiB down, chunked", "open", "bodies", path="chunked", answer=1_024),
    Row("up-1k", "1 KiB up", "open", "bodies", path="up", method="POST", body=1_024),
    Row("down-1m", "1 MiB down", "open", "bodies", path="1m", answer=1_048_576),
    Row("up-1m", "1 MiB up", "open", "bodies", path="up", method="POST", body=1_048_576),
    Row("down-1k-rs256", "1 KiB down, RS256, 1,000 tokens", "rs256", "bodies", path="1k", answer=1_024, credentials="rs256.txt", distinct=1_000),
    Row("down-1m-rs256", "1 MiB down, RS256, 1,000 tokens", "rs256", "bodies", path="1m", answer=1_048_576, credentials="rs256.txt", distinct=1_000),
]

GROUPS = {
    "accepted": "Accepted",
    "refused": "Refused with 401",
    "tls": "Over TLS and HTTP/2",
    "bodies": "Bodies, HTTP/1.1",
}
