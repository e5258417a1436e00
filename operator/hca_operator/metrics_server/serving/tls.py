"""TLS of the metrics API: its certificate, and whose word on the caller is taken. Both change while it serves."""

import os
import ssl
from asyncio import sslproto
from collections.abc import Mapping
from typing import Any

# Python gives each connection a quarter of a megabyte to read into, before its first word: some hundred of them, by
# whoever can reach the port, would be more memory than the pod has. It cannot be asked for less but here, and a record
# of TLS has no more than this.
sslproto.SSLProtocol.max_size = 2**14


class ServingTls:
    """What the server listens with. A connection gets the certificate and the authority of the moment it comes in."""

    def __init__(self) -> None:
        self._pair: tuple[bytes, bytes] | None = None
        self._authority: str | None = None
        self._current = _context()
        self.context = _context()
        """For every connection until it has said its first word; then it is handed over to the current one."""
        self.context.sni_callback = self._hand_over

    def serve(self, certificate: bytes, key: bytes) -> None:
        """Show this certificate (PEM) from now on."""
        self._become((certificate, key), self._authority)

    def trust(self, authority: str) -> None:
        """Take the word of callers with a certificate of this authority (PEM) alone, also on open connections.

        Raises OSError or ValueError where it is no PEM, and then nothing changes.
        """
        self._become(self._pair, authority)

    def peer(self, connection: ssl.SSLObject | None) -> Mapping[str, Any] | None:
        """The caller's certificate, None where none was shown or its authority is no longer the one to trust."""
        if connection is None or getattr(connection.context, "authority", None) != self._authority:
            return None
        return connection.getpeercert()

    def _become(self, pair: tuple[bytes, bytes] | None, authority: str | None) -> None:
        # Nothing can be taken out of a context, so each change makes a new one.
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
    # Every caller can: kube-apiserver, the kubelet. And a session that is taken up again would skip the certificate.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    # The kubelet's probes show none.
    context.verify_mode = ssl.CERT_OPTIONAL
    # As kube-apiserver itself judges: what is in the file is trusted, be it an intermediate one or one without the
    # extensions that Python asks for from 3.13 on, which the front-proxy authorities of some distributions lack.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """A file in memory: Python reads keys from files alone."""
    file = os.memfd_create("credentials")
    try:
        os.write(file, certificate + key)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
