# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""What disk and loopback of this machine give by themselves: the measure of what moves data."""
import os
import shutil
import socket
import subprocess
import sys
import time

PIECE_BYTES = 1 << 20
MB = 1e6


def make_file(path, size):
    """Synced, of bytes that nothing can compress."""
    with open(path, "wb") as file:
        while size > 0:
            size -= file.write(os.urandom(min(size, 8 * PIECE_BYTES)))
        file.flush()
        os.fsync(file.fileno())


def forget(path):
    """Out of the page cache, so that who reads it reads the disk."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_rate(path):
    """MB/s of cp and sync of a file that is in no cache."""
    copy = path + ".copy"
    forget(path)
    begin = time.monotonic()
    subprocess.run(["cp", path, copy], check=True, timeout=600)
    subprocess.run(["sync", copy], check=True, timeout=600)
    took = time.monotonic() - begin
    size = os.path.getsize(copy)
    os.remove(copy)
    return size / MB / took


def receive(port_pipe, path):
    """The far end, a process of its own: one connection into one file; a byte back when synced."""
    with socket.create_server(("127.0.0.1", 0)) as listener, open(path, "wb") as file:
        os.write(port_pipe, b"%d\n" % listener.getsockname()[1])
        stream = listener.accept()[0]
        piece = bytearray(PIECE_BYTES)
        with stream:
            while got := stream.recv_into(piece):
                file.write(memoryview(piece)[:got])
            file.flush()
            os.fsync(file.fileno())
            stream.sendall(b"!")


def loopback_rate(path):
    """MB/s of a file that is sent over a TCP connection of 127.0.0.1 into a file, and synced."""
    copy = path + ".copy"
    forget(path)
    end, port_pipe = os.pipe()
    with subprocess.Popen([sys.executable, os.path.abspath(__file__), str(port_pipe), copy],
                          pass_fds=(port_pipe,), stdin=subprocess.DEVNULL) as child:
        os.close(port_pipe)
        with os.fdopen(end) as pipe:
            port = int(pipe.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=600) as stream, \
                open(path, "rb") as file:
            begin = time.monotonic()
            while piece := file.read(PIECE_BYTES):
                stream.sendall(piece)
            stream.shutdown(socket.SHUT_WR)
            if stream.recv(1) != b"!":
                raise RuntimeError("the receiver has ended")
            took = time.monotonic() - begin
        child.wait(60)
    size = os.path.getsize(copy)
    os.remove(copy)
    return size / MB / took


def slower_rate(path):
    """(MB/s of the slower of the two, of the disk, of loopback)."""
    disk, loopback = disk_rate(path), loopback_rate(path)
    return min(disk, loopback), disk, loopback


def room_for(folder, size):
    """False when what is to be written would leave the disk nearly full."""
    return shutil.disk_usage(folder).free > 2 * size + (4 << 30)


if __name__ == "__main__":
    receive(int(sys.argv[1]), sys.argv[2])
