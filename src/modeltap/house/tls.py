"""TLS contexts of the two ports, from files that the store process issues under the local CA."""

import ssl
import tempfile
from pathlib import Path

from modeltap.auth.authority import Authority, detour_names
from modeltap.clock import Clock, utc


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the context of a server; TLS 1.2 or newer, HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


def detour_context(authority: Authority, region: str, clock: Clock) -> ssl.SSLContext:
    """Make the context under which the detour answers as AWS's hosts."""
    certificate, key = authority.leaf(detour_names(region), now=utc(clock.now_ns()))
    with tempfile.NamedTemporaryFile() as pem:  # `ssl` loads a chain from files only
        pem.write(certificate + key)
        pem.flush()
        return server_context(Path(pem.name), Path(pem.name))
