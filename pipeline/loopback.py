"""The address of a server on this machine. Light: it is read before the network guard is on."""

from __future__ import annotations

import ipaddress
import urllib.parse


def server_address(url: str) -> tuple[str, int]:
    """Host and port of a server on this machine: `localhost` or a literal loopback address.

    Raises ValueError for every other address, with the reason. Looks no name up.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if parts.scheme != "http":
        raise ValueError("expected an address that begins with http://; a server on this machine needs no https")
    if not here:
        raise ValueError(f"{host} is not this machine, and documents do not leave it; use 127.0.0.1")
    if parts.username or parts.query or parts.fragment or parts.path.rstrip("/") not in ("", "/v1"):
        raise ValueError("expected http://127.0.0.1:PORT and nothing more")
    if not parts.port:
        raise ValueError("expected a port, as in http://127.0.0.1:8080")
    return host, parts.port
