# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""File systems of a test's own, small enough to run full."""
import os
import subprocess

from lib import skip, temp_folder


class SmallDisk:
    """A file system of its own (tmpfs or ext4), with two ballast files that can be removed."""

    def __init__(self, kind, mib, ballast_mib):
        if os.geteuid() != 0:
            skip("mount needs root")
        self.folder = temp_folder("disk")
        self.mount = os.path.join(self.folder, "mount")
        os.mkdir(self.mount)
        if kind == "tmpfs":
            self._try("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", self.mount)
        else:
            image = os.path.join(self.folder, "image")
            with open(image, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, mib << 20)
            self._try("mkfs.ext4", "-q", "-F", "-m", "0", image)
            self._try("mount", "-o", "loop", image, self.mount)
        self.ballast = [os.path.join(self.mount, name) for name in ("ballast1", "ballast2")]
        for path in self.ballast:
            with open(path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, ballast_mib << 19)

    @staticmethod
    def _try(*command):
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
        except FileNotFoundError:
            skip(f"{command[0]} is not installed")
        if done.returncode != 0:
            skip(f"{' '.join(command)}: {done.stderr.decode('utf-8', 'replace').strip()}")

    def free(self):
        facts = os.statvfs(self.mount)
        return facts.f_bavail * facts.f_frsize

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.mount], stdin=subprocess.DEVNULL, timeout=60,
                       check=False)
