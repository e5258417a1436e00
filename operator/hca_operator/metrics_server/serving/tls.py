"""TLS of the metrics server: its certificate and the trusted authority of clients, which both change at run time."""

import os
import ssl
from asyncio import sslproto
from collections.abc import Mapping
from typing import Any

# Python allocates a read buffer of 256 KiB for each connection, before its first byte: a few hundred connections, from
# any pod that can reach the port, would take more memory than this pod has. This attribute is the only way to reduce
# it, and a TLS record is not longer than this.
sslproto.SSLProtocol.max_size = 2**14


class ServingTls:
    """The TLS context of the server. A connection uses the certificate and the authority at the time it opens."""

    def __init__(self) -> None:
        self._pair: tuple[bytes, bytes] | None = None
        self._authority: str | None = None
        self._current = _context()
        self.context = _context()
        """Accepts every connection; at its ClientHello, the connection switches to the current context."""
        self.context.sni_callback = self._hand_over

    def serve(self, certificate: bytes, key: bytes) -> None:
        """Serve this certificate and key (PEM) from now on."""
        self._replace((certificate, key), self._authority)

    def trust(self, authority: str) -> None:
        """Trust only clients with a certificate of this authority (PEM), also on open connections.

        Raises OSError or ValueError if it is malformed, and then nothing changes.
        """
        self._replace(self._pair, authority)

    def peer(self, connection: ssl.SSLObject | None) -> Mapping[str, Any] | None:
        """The client's certificate; None if it sent none or its authority is no longer trusted."""
        if connection is None or getattr(connection.context, "authority", None) != self._authority:
            return None
        return connection.getpeercert()

    def _replace(self, pair: tuple[bytes, bytes] | None, authority: str | None) -> None:
        # Nothing can be removed from a context, so each change creates a new one.
        context = _context()
        context.authority = authority
        if authority:
            context.load_verify_locations(cadata=authority)
        if pair:
            _load(context, *pair)
        self._pair, self._authority, self._current = pair, authority, context

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _listening: ssl.SSLContext) -> None:
        connection.context = self._current


class _Context(ssl.SSLContext):
    authority: str | None = None


def _context() -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    # kube-apiserver and the kubelet support TLS 1.3. A resumed session would skip the certificate, so none is resumed.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    # The kubelet's probes send no certificate.
    context.verify_mode = ssl.CERT_OPTIONAL
    # As in kube-apiserver, every certificate in the file is trusted, also an intermediate one, or one without the
    # extensions that Python requires from 3.13 on, which the front-proxy authorities of some distributions do not have.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load both from a file in memory, because Python reads keys only from files."""
    file = os.memfd_create("credentials")
    try:
        os.write(file, certificate + key)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
