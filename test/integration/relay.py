# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""A relay: the ports of a server at another loopback address, whose connections can be cut."""
import itertools
import socket
import threading

_hosts = itertools.count(2)


class Relay:
    """Stands for `server` at `host`, with its Redis port and its peer port."""

    def __init__(self, server):
        number = next(_hosts)
        self.host = f"127.0.{number // 250 + 1}.{number % 250 + 1}"
        self.listeners = []
        self.pairs = []
        self.lock = threading.Lock()
        for port in (server.port, server.port + 10000):
            listener = socket.create_server((self.host, port))
            self.listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.close()
        self.cut()

    def cut(self):
        """Resets every connection; new ones are taken."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for ends in pairs:
            for end in ends:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def _accept(self, listener, port):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", port), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self.lock:
                self.pairs.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
