"""The one connection of a query, which can be cut from outside.

requests bounds each read, not their sum: a server that sends a byte now and then would hold a thread for ever.
"""

import socket
import threading
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Line:
    """A connection that is there once it is made, and gone once it is cut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def hold(self, made: socket.socket) -> None:
        """Take note of the connection. Raises TimeoutError where it comes too late."""
        with self._lock:
            if self._is_cut:
                made.close()
                raise TimeoutError
            self._socket = made.dup()  # TLS takes the original over

    def cut(self) -> None:
        """End the connection, or what will be one. Whoever reads from it gets an error."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                with suppress(OSError):  # it has ended by itself
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._socket.close()
                self._socket = None


class LineAdapter(HTTPAdapter):
    """Makes connections that a line holds; tries everything once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        """Have connections made that tell the line of themselves."""
        line = self._line

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                made = super()._new_conn()
                line.hold(made)
                return made

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                made = super()._new_conn()
                line.hold(made)
                return made

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
