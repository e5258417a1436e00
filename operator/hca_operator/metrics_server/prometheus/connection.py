"""A connection that the event loop can close while a thread reads from it.

The library `requests` limits the time of each read, not their sum: a server that sends a byte now and then would block
a thread for ever.
"""

import socket
import threading
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class CancellableConnection:
    """The socket of a query, as soon as it is connected and until it is cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cancelled = False

    def hold(self, connected: socket.socket) -> None:
        """Keep the socket. Raises TimeoutError if the query has been cancelled."""
        with self._lock:
            if self._cancelled:
                connected.close()
                raise TimeoutError
            self._socket = connected.dup()  # TLS takes the original over

    def cancel(self) -> None:
        """Close the connection, also one that is not connected yet. The thread that reads from it gets an error."""
        with self._lock:
            self._cancelled = True
            if self._socket is not None:
                with suppress(OSError):  # it has ended by itself
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._socket.close()
                self._socket = None


class CancellableAdapter(HTTPAdapter):
    """Connects so that the query can be cancelled, and never retries."""

    def __init__(self, connection: CancellableConnection) -> None:
        self._connection = connection
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        """Have every new socket kept by the connection."""
        connection = self._connection

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connected = super()._new_conn()
                connection.hold(connected)
                return connected

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                connected = super()._new_conn()
                connection.hold(connected)
                return connected

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
