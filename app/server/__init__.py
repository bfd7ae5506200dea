"""The local API: the same engine over HTTP on loopback. Built on FastAPI; nothing but `palimpsest serve` imports it."""
