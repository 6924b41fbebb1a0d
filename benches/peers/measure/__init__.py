"""How the same work is put through several proxies and what it costs each. `../run` is the command."""
