#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""Copies that meet over TLS: each shows a certificate, and refuses who shows none, or another one.
The certificates are made here, with openssl, as docs/replication.md says."""
import os
import re
import shutil
import socket
import ssl
import subprocess

from lib import (Server, ServerDied, expect, expect_error, expect_true, patience,
                 require_command, run, stopped, temp_folder, wait_until)
from resp import ReplyError
from test_copies import (expect_equal_copies, in_sync, metric, status_of, wait_in_sync)


# ---- Certificates --------------------------------------------------------------------------------

def openssl(folder, *arguments):
    require_command("openssl")
    done = subprocess.run(["openssl", *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=patience(60), check=False)
    expect(done.returncode, 0, done.stdout.decode("utf-8", "replace"))


def authority(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650",
            "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")


def certificate(folder, name, by, days=365):
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.crt",
            "-CAkey", f"{by}.key", "-CAcreateserial", "-days", str(days), "-out", f"{name}.crt")


_made = []


def files():
    """The folder with: ours, theirs (authorities); a, b (by ours), foreign (by theirs), expired."""
    if not _made:
        folder = temp_folder("certificates")
        authority(folder, "ours")
        authority(folder, "theirs")
        certificate(folder, "a", "ours")
        certificate(folder, "b", "ours")
        certificate(folder, "foreign", "theirs")
        certificate(folder, "expired", "ours", days=-1)
        _made.append(folder)
    return _made[0]


def tls(name, ca="ours"):
    """The directives of a server with this certificate."""
    folder = files()
    return {"tls_replication": "yes", "tls_cert_file": f"{folder}/{name}.crt",
            "tls_key_file": f"{folder}/{name}.key", "tls_ca_cert_file": f"{folder}/{ca}.crt"}


def pair(**options):
    """Both running over TLS, in sync."""
    primary = Server("primary", **tls("a"), **options)
    replica = Server("replica", replicaof=f"127.0.0.1 {primary.port}", **tls("b"), **options)
    primary.start()
    replica.start()
    wait_in_sync(replica)
    return primary, replica


def peer_port(server):
    return server.port + 10000


def wait_log(server, pattern, timeout=30.0):
    wait_until(lambda: re.search(pattern, server.log_text()), timeout,
               f"{pattern} in the log of {server.name}")


def replica_of(primary, name, **options):
    return Server(name, replicaof=f"127.0.0.1 {primary.port}", **options)


# ---- Together ------------------------------------------------------------------------------------

def two_copies_are_in_sync_over_tls_and_one_takes_the_lead_when_the_other_is_killed():
    primary, replica = pair(repl_mode="all", min_in_sync=1)
    with primary, replica:
        wait_log(primary, r'notice node peers listen_at=1 guard="tls"')
        copy = status_of(replica)["copy"]
        with primary.client(timeout=60.0) as client:
            expect(client.call("REPL.ADD", copy), "OK")
            expect(client.call("REPL.RULE", "all", 2), "OK")
            for i in range(2000):
                client.call("SET", f"key:{i}", "v" * 500)
        expect_equal_copies(primary, replica)
        primary.kill()
        with replica.client(timeout=60.0) as client:
            wait_until(lambda: client.ask("PROMOTE") in ("OK", b"OK"), 60, "it is promoted")
        expect_true(status_of(replica)["tls-cut"] >= 1, "the end came without a word")
        primary.start()
        with replica.client(timeout=60.0) as client:
            wait_until(lambda: not isinstance(client.ask("SET", "after", 1), ReplyError), 60,
                       "both count again")
            expect(client.call("GET", "key:1999"), b"v" * 500)
        wait_in_sync(primary)
        expect_equal_copies(replica, primary)
        expect(status_of(primary)["tls-refused"], 0)
        expect(status_of(replica)["tls-refused"], 0)


def a_new_copy_is_rebuilt_over_tls_and_a_clean_stop_is_no_cut():
    with Server("primary", **tls("a")) as primary:
        with primary.client() as client:
            for i in range(64):
                client.call("SET", f"large:{i}", os.urandom(1 << 18))
        with replica_of(primary, "replica", **tls("b")) as replica:
            wait_in_sync(replica, 60.0)
            expect_equal_copies(primary, replica)
            expect(replica.stop(), 0)
            replica.start()
            wait_in_sync(replica)
            expect(primary.stop(), 0)
            wait_until(lambda: not in_sync(replica)(), 30, "the primary is gone")
            expect(status_of(replica)["tls-cut"], 0)


def what_is_said_between_them_cannot_be_read():
    """And the peer port speaks TLS 1.3, to whoever has a certificate."""
    with Server("primary", **tls("a")) as primary:
        context = ssl.create_default_context(cafile=f"{files()}/ours.crt")
        context.check_hostname = False
        context.load_cert_chain(f"{files()}/b.crt", f"{files()}/b.key")
        with socket.create_connection(("127.0.0.1", peer_port(primary)), patience(10)) as plain:
            with context.wrap_socket(plain) as stream:
                expect(stream.version(), "TLSv1.3")
                expect(stream.compression(), None)
                subject = stream.getpeercert()["subject"]
                expect(subject, ((("commonName", "a"),),))


def beyond_this_machine_tls_is_enough_and_without_it_a_secret_is_asked_for():
    host = own_address()
    if host is None:
        print("  (this machine has no address but its loopback: not shown here)")
        return
    options = {"bind": f"127.0.0.1 {host}", "protected_mode": "no"}
    with Server("primary", **tls("a"), **options) as primary, \
            Server("open", **options) as unguarded:
        wait_log(unguarded, r'node peers listen_at=2 guard="this machine"')
        with Server("replica", replicaof=f"{host} {primary.port}", **tls("b")) as replica:
            wait_in_sync(replica)
        with Server("other", replicaof=f"{host} {unguarded.port}") as replica:
            wait_log(replica, r"the secrets differ, or beyond this machine")


def own_address():
    """An address of this machine that is not its loopback; None: there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        host = probe.getsockname()[0]
    return None if host.startswith(("127.", "0.")) else host


# ---- Refused -------------------------------------------------------------------------------------

def a_copy_with_a_foreign_or_an_expired_certificate_is_refused_and_both_say_so():
    primary, replica = pair()
    with primary, replica:
        for name, why, told in (
                ("foreign", "unable to get local issuer certificate", "no authority that it knows"),
                ("expired", "certificate has expired", "it has expired")):
            with replica_of(primary, name, **tls(name)) as third:
                wait_log(primary, r"warning tls refused peer=127.0.0.1:\d+ why=.its certificate is "
                                  rf"not accepted: {why} \(/CN={name}\). refused=\d+")
                wait_log(third, rf'warning tls refused peer=127.0.0.1:{peer_port(primary)} why="it '
                                rf'refuses the certificate of this copy: {told}')
                wait_log(third, r"warning tls own_certificate_bad own=")
                expect_true(status_of(third)["tls-refused"] >= 1, "it is counted at the copy")
                expect_true(metric(third, "tls_refused_total") >= 1, "and in its metrics")
                expect(status_of(third)["link-state"], b"disconnected")
        expect_true(status_of(primary)["tls-refused"] >= 2, "and at the primary")
        expect(len(status_of(primary)["copies"]), 1)
        wait_in_sync(replica)


def a_copy_refuses_a_primary_of_another_authority():
    with Server("primary", **tls("a")) as primary:
        with replica_of(primary, "replica", **tls("a", ca="theirs")) as replica:
            wait_log(replica, rf'node follow_failed .* why="127.0.0.1:{peer_port(primary)}: its '
                              r"certificate is not accepted: ")
            wait_log(primary, r'tls refused .*why="it refuses the certificate of this copy: ')
            expect(status_of(primary)["copies"], [])


def tls_and_plain_copies_refuse_each_other():
    with Server("guarded", **tls("a")) as guarded, Server("plain") as plain:
        with replica_of(guarded, "one") as one:
            wait_log(guarded, r'tls refused peer=127.0.0.1:\d+ why="what it sends is not TLS"')
            wait_log(one, r"node follow_failed ")
            expect(status_of(guarded)["copies"], [])
        with replica_of(plain, "two", **tls("b")) as two:
            wait_log(two, r"tls refused .*why=\"it ended the connection in the middle")
            wait_log(two, r"node follow_failed .*it ended the connection in the middle")
            expect(status_of(plain)["copies"], [])


# ---- Files ---------------------------------------------------------------------------------------

def a_start_with_files_that_do_not_fit_is_refused_by_name():
    folder = files()
    for change, why in (
            ({"tls_cert_file": f"{folder}/none"}, r"tls-cert-file .*none: No such file"),
            ({"tls_key_file": None}, r"tls-key-file: is not given"),
            ({"tls_key_file": f"{folder}/b.key"}, r"tls-key-file .*b.key cannot be used: key val"),
            ({"tls_ca_cert_file": f"{folder}/none"}, r"tls-ca-cert-file .*none: No such file"),
            ({"tls_ca_cert_file": None}, r"tls-ca-cert-file or tls-ca-cert-dir: neither"),
            ({"tls_protocols": "TLSv1.1"}, r"tls-protocols: only TLSv1.2 and TLSv1.3")):
        with stopped("bad", **{**tls("a"), **change}) as server:
            try:
                server.start()
            except ServerDied as died:
                expect(died.status, 1, why)
            else:
                raise AssertionError(f"it starts, with {change}")
            expect_true(re.search(rf'server start_refused why="{why}', server.log_text()), why)
            expect_true(not os.path.exists(server.data), "nothing is made")


def certificates_are_renewed_while_the_servers_run():
    folder = temp_folder("renewed")

    def put(certificate_of, key_of):
        shutil.copy(f"{files()}/{certificate_of}.crt", f"{folder}/a.crt")
        shutil.copy(f"{files()}/{key_of}.key", f"{folder}/a.key")
    put("a", "a")
    options = {**tls("a"), "tls_cert_file": f"{folder}/a.crt", "tls_key_file": f"{folder}/a.key"}
    with Server("primary", **options) as primary, \
            replica_of(primary, "replica", **tls("b")) as replica, primary.client() as client:
        wait_in_sync(replica)
        again = ["CONFIG", "SET", "tls-cert-file", f"{folder}/a.crt"]
        expect_error(client.ask("CONFIG", "SET", "tls-cert-file", f"{files()}/b.crt"), "ERR")
        put("foreign", "a")  # the key is another one's
        reply = client.ask(*again)
        expect_true(isinstance(reply, ReplyError) and "key values mismatch" in str(reply),
                    f"{reply!r}")
        replica.restart()
        wait_in_sync(replica)  # what was good goes on
        put("foreign", "foreign")
        expect(client.call(*again), "OK")
        expect_true(in_sync(replica)(), "an open session goes on")
        replica.restart()
        wait_log(replica, r'its certificate is not accepted: .* \(/CN=foreign\)')
        put("a", "a")
        expect(client.call(*again), "OK")
        wait_in_sync(replica)


if __name__ == "__main__":
    run(two_copies_are_in_sync_over_tls_and_one_takes_the_lead_when_the_other_is_killed,
        a_new_copy_is_rebuilt_over_tls_and_a_clean_stop_is_no_cut,
        what_is_said_between_them_cannot_be_read,
        beyond_this_machine_tls_is_enough_and_without_it_a_secret_is_asked_for,
        a_copy_with_a_foreign_or_an_expired_certificate_is_refused_and_both_say_so,
        a_copy_refuses_a_primary_of_another_authority,
        tls_and_plain_copies_refuse_each_other,
        a_start_with_files_that_do_not_fit_is_refused_by_name,
        certificates_are_renewed_while_the_servers_run)
