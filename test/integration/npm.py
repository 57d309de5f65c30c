# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Runs a program of test/integration/node/ against a server of ours.

The packages stand with exact versions and checksums in node/package-lock.json and are installed
into a temporary folder. Without npm, or without access to its registry, the test is skipped.
"""
import os
import shutil
import subprocess
import sys

from lib import ROOT, Server, expect_no_reports, patience, require_command, skip, temp_folder

NODE = os.path.join(ROOT, "test/integration/node")
INSTALL_SECONDS_MAX = 180
# How npm says that it cannot reach a registry; anything else it says is a failure of the test.
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH",
           "EHOSTUNREACH", "ENOTCACHED", "ERR_SOCKET_TIMEOUT", "CERT_", "SELF_SIGNED", "E401",
           "E403", "E407", "E503", "network")


def install():
    """The folder with our programs and their packages."""
    require_command("node", "npm")
    folder = temp_folder("node")
    for name in os.listdir(NODE):
        if name != "node_modules":
            shutil.copy(os.path.join(NODE, name), folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=INSTALL_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        no_registry(f"npm ci has no end after {INSTALL_SECONDS_MAX} s")
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode == 0:
        return folder
    print(text)
    if any(word in text for word in OFFLINE):
        no_registry("npm cannot reach its registry")
    print("npm ci failed\n0 passed, 1 failed")
    sys.exit(1)


def no_registry(reason):
    print("=" * 72)
    print(f"NOT TESTED: {reason}. The client library was not run against the server.")
    print("=" * 72)
    skip(reason)


def run_program(name):
    """Runs node/NAME against a fresh server; ends this program as that one ended."""
    folder = install()
    with Server() as server:
        program = subprocess.Popen(  # pylint: disable=consider-using-with
            ["node", name], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "TIDEMARK_PORT": str(server.port),
                 "TIDEMARK_SLOWNESS": str(patience(1))})
        for line in program.stdout:
            if line != "KILL\n":
                print(line, end="", flush=True)
                continue
            server.kill()
            server.start()
            program.stdin.write("STARTED\n")
            program.stdin.flush()
        status = program.wait(patience(60))
    expect_no_reports()
    if status != 0:
        print(f"{name} ended with status {status}")
        print("0 passed, 1 failed" if status < 0 else "")
    sys.exit(0 if status == 0 else 1)
