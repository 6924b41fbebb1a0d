"""From one value a round to what is told: medians, and ratios taken within each round."""

import statistics

from .proxies import PROXIES
from .work import ROWS

TITLES = {proxy.name: proxy.title for proxy in PROXIES}
OURS = "countersign"


class Figures:
    """What a run measured."""

    def __init__(self, result):
        self.result = result
        self.cells = result["cells"]
        self.proxies = result["proxies"]
        self.rows = [row for row in ROWS if row.name in self.cells]

    def values(self, row, proxy, figure="cpu_us"):
        """One a round; empty where the proxy does not do that."""
        return [value for value in self.cells.get(row, {}).get(proxy, {}).get(figure, []) if value is not None]

    def median(self, row, proxy, figure="cpu_us"):
        values = self.values(row, proxy, figure)
        return statistics.median(values) if values else None

    def ratio(self, row, proxy, other_row, other_proxy, figure="cpu_us"):
        """Of the first to the second, within each round, where both were measured a minute or so apart."""
        first, second = self.values(row, proxy, figure), self.values(other_row, other_proxy, figure)
        if not first or len(first) != len(second):
            return None
        return statistics.median(mine / other for mine, other in zip(first, second))


# The row of ours, the bound, the row and proxy that it is a bound to, and what that says.
BOUNDS = [
    ("rs256-1k", 0.60, "rs256-1k", "haproxy", "RS256, 1,000 warm tokens, to HAProxy's `jwt_verify`"),
    ("rs256-1k", 0.64, "rs256-1k", "envoy", "RS256, 1,000 warm tokens, to Envoy with its cache of tokens"),
    ("rs256-1k", 1.00, "open", "nginx", "RS256, 1,000 warm tokens, to nginx passing on without any authentication"),
    ("rs256-new", 1.00, "rs256-new", "haproxy", "RS256, every token new, to HAProxy's `jwt_verify`"),
    ("es256-new", 1.00, "es256-new", "haproxy", "ES256, every token new, to HAProxy's `jwt_verify`"),
    ("rs256-1k", 1.05, "open", OURS, "RS256, 1,000 warm tokens, to our own pass-through"),
    ("es256-1k", 1.05, "open", OURS, "ES256, 1,000 warm tokens, to our own pass-through"),
    ("key", 1.05, "open", OURS, "API key, to our own pass-through"),
    ("expired", 1.00, "rs256-new", OURS, "refusing an expired token, to accepting a new one"),
    ("forged", 1.00, "rs256-new", OURS, "refusing a forged token, to accepting a new one"),
    ("forged-es256", 1.00, "es256-new", OURS, "refusing a forged ES256 token, to accepting a new one"),
    ("missing", 1.00, "rs256-new", OURS, "refusing who presents nothing, to accepting a new token"),
    ("wrong-key", 1.00, "key", OURS, "refusing a wrong API key, to accepting a right one"),
]
