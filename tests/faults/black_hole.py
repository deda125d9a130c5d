"""A TCP relay in front of a server, whose connections can be swallowed: open for ever, and silent."""

import selectors
import socket
import threading
from contextlib import suppress
from types import TracebackType

_CHUNK_BYTES = 65536
_POLL_SECONDS = 0.2


class Relay:
    """Passes bytes on, until ``swallow``; connections that come later are passed on again."""

    def __init__(self, *, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        #: ``{one end: the other}``, in both directions.
        self._peers: dict[socket.socket, socket.socket] = {}
        self._swallowed: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> "Relay":
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(10)
        for each in (*self._peers, *self._swallowed, self._listener):
            each.close()
        self._selector.close()

    def swallow(self) -> int:
        """Never pass anything on again for the connections that are open now; return how many."""
        with self._lock:
            ends = list(self._peers)
            for end in ends:
                self._selector.unregister(end)
            self._swallowed += ends
            self._peers.clear()
        return len(ends) // 2

    def _run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(_POLL_SECONDS):
                with self._lock, suppress(OSError):
                    self._handle(key.fileobj)  # type: ignore[arg-type]  # only sockets are registered

    def _handle(self, end: socket.socket) -> None:
        if end is self._listener:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._target)
            for one, other in ((client, server), (server, client)):
                self._peers[one] = other
                self._selector.register(one, selectors.EVENT_READ)
        elif end in self._peers:
            self._pass_on(end, self._peers[end])

    def _pass_on(self, end: socket.socket, other: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            data = end.recv(_CHUNK_BYTES)
        if data:
            other.sendall(data)
            return
        for each in (end, other):
            self._selector.unregister(each)
            del self._peers[each]
            each.close()
