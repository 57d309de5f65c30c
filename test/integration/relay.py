# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""A relay: the ports of a server at another loopback address, whose connections can be cut.

It is a process of its own, which ends with the one that made it: beside busy writers in the same
interpreter, every message between two copies would wait for its turn.
"""
import itertools
import socket
import subprocess
import sys
import threading

_hosts = itertools.count(2)


class Relay:
    """Stands for `server` at `host`, with its Redis port and its peer port."""

    def __init__(self, server):
        number = next(_hosts)
        self.host = f"127.0.{number // 250 + 1}.{number % 250 + 1}"
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [sys.executable, __file__, self.host, str(server.port), str(server.port + 10000)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect_done()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def cut(self, port=0):
        """Resets every connection, or those to one port; new ones are taken."""
        self._tell(f"cut {port}")

    def hold(self):
        """Resets every connection, and each new one, until release()."""
        self._tell("hold 0")

    def release(self):
        self._tell("release 0")

    def _tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self._expect_done()

    def _expect_done(self):
        if self.process.stdout.readline() != "done\n":
            raise RuntimeError(f"the relay at {self.host} has ended")


# ---- The process ---------------------------------------------------------------------------------

class _Carrier:
    def __init__(self, host, ports):
        self.links = []
        self.lock = threading.Lock()
        self.held = False
        for port in ports:
            listener = socket.create_server((host, port))
            threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    def obey(self, word, port):
        if word != "cut":
            self.held = word == "hold"
        if word != "release":
            with self.lock:
                links = [link for link in self.links if port in (0, link.port)]
            for link in links:
                link.cut()

    def _accept(self, listener, port):
        while True:
            near, _ = listener.accept()
            try:
                far = None if self.held else socket.create_connection(("127.0.0.1", port), 5)
            except OSError:
                far = None
            if far is None:
                near.close()
                continue
            far.settimeout(None)
            link = _Link(near, far, port)
            with self.lock:
                self.links.append(link)
            if self.held:  # since it was looked at
                link.cut()
            threading.Thread(target=self._carry, args=(link,), daemon=True).start()

    def _carry(self, link):
        """Both directions, one of them here; when both have ended it closes."""
        other = threading.Thread(target=link.copy, args=(link.far, link.near), daemon=True)
        other.start()
        link.copy(link.near, link.far)
        other.join()
        with self.lock:
            self.links.remove(link)
        link.near.close()
        link.far.close()


class _Link:
    def __init__(self, near, far, port):
        self.near, self.far, self.port = near, far, port
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def cut(self):
        for end in (self.near, self.far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended

    def copy(self, one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        self.cut()


def _main(host, *ports):
    carrier = _Carrier(host, [int(port) for port in ports])
    print("done", flush=True)
    for line in sys.stdin:
        word, port = line.split()
        carrier.obey(word, int(port))
        print("done", flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
