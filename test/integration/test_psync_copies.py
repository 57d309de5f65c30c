#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""Redis's own replicas beside copies of tidemark: both count, and a redis-server goes on where it
was when another copy takes the lead, since every copy has the same stream at the same offsets."""
import os
import time

from lib import Server, expect, expect_error, expect_true, run, wait_until
from stock import Replica, Storm, Wire, expect_equal, info_of, settle
from test_copies import expect_equal_copies, pair, status_of, wait_in_sync

SEED = int(os.environ.get("TIDEMARK_SEED", "1"))


def replication(server, name):
    return info_of(server, "replication")[name]


def stat(server, name):
    return int(info_of(server, "stats")[name])


def counting_pair(**options):
    """Two copies that both count: what one has answered the other has."""
    primary, replica = pair(repl_mode="all", min_in_sync=1, **options)
    with primary.client(timeout=60.0) as client:
        expect(client.call("REPL.ADD", status_of(replica)["copy"]), "OK")
        expect(client.call("REPL.RULE", "all", 2), "OK")
    return primary, replica


def follow(stock, server):
    with stock.client() as client:
        client.call("REPLICAOF", "127.0.0.1", server.port)


def wait_leads(server):
    wait_until(lambda: status_of(server)["role"] == b"primary", 40, f"{server.name} leads")


# ---- Another copy leads --------------------------------------------------------------------------

def a_stock_replica_goes_on_at_the_copy_that_takes_the_lead_of_a_dead_one():
    primary, replica = counting_pair()
    with primary, replica, Replica(primary, name="stock") as stock:
        wait_until(stock.is_linked, 30, "the first link")
        storm = Storm(primary, seed=SEED)
        with storm:
            time.sleep(1.5)
            primary.kill()  # in the middle of it
        name = stock.info("master_replid")
        with replica.client(timeout=60.0) as client:
            expect_true(client.call("PROMOTE").startswith("OK"), "it is promoted")
            wait_leads(replica)
        follow(stock, replica)
        primary.start()  # it follows; alone the other one confirms nothing, and feeds nobody
        wait_in_sync(primary)
        wait_until(stock.is_linked, 30, "the link to the other copy")
        wait_until(lambda: replication(replica, "master_replid") != name, 30, "the new epoch")
        wait_until(lambda: stock.info("master_replid") == replication(replica, "master_replid"), 30,
                   "the stock replica is told its name")
        with Storm(replica, seed=SEED + 1):
            time.sleep(1)
        settle(replica, stock)
        expect(stock.full_syncs(), 1, "full syncs of the stock replica")
        expect(stat(replica, "sync_full"), 0, "sync_full of the other copy")
        expect_true(stat(replica, "sync_partial_ok") in (1, 2), "it goes on, also in the new epoch")
        expect(replication(replica, "master_replid2"), name, "the name before")
        expect_true(expect_equal(replica, stock) > 50, "many keys")
        expect_equal_copies(replica, primary)


def a_stock_replica_goes_on_at_each_copy_that_the_lead_is_handed_to():
    primary, replica = counting_pair()
    with primary, replica, Replica(primary, name="stock") as stock:
        wait_until(stock.is_linked, 30, "the first link")
        leads, follows = primary, replica
        for number in range(4):
            with Storm(leads, seed=SEED + 10 + number):
                time.sleep(0.5)
            before = stat(follows, "sync_partial_ok")
            with leads.client(timeout=60.0) as client:
                expect_true(client.call("FAILOVER", "TIMEOUT", 30000).startswith("OK"), "it begins")
            wait_leads(follows)
            wait_in_sync(leads)
            wait_until(lambda: not stock.is_linked(), 20, "who leads no more feeds nobody")
            expect(replication(leads, "connected_slaves"), "0")
            with Wire(leads.port) as wire:
                expect(wire.ask("REPLCONF", "capa", "psync2"), "+OK")
                expect_true(wire.ask("PSYNC", "?", "-1").startswith("-NOMASTERLINK this copy "),
                            "it says why")
            leads, follows = follows, leads
            follow(stock, leads)
            wait_until(stock.is_linked, 30, "the link to the other copy")
            expect(stat(leads, "sync_partial_ok"), before + 1, "it goes on")
        with Storm(leads, seed=SEED + 20):
            time.sleep(0.5)
        settle(leads, stock)
        expect(stock.full_syncs(), 1, "full syncs of the stock replica")
        expect_equal_copies(leads, follows)
        expect_true(expect_equal(leads, stock) > 50, "many keys")


def a_stock_replica_that_asks_too_early_goes_on_when_the_copy_leads():
    primary, replica = counting_pair()
    with primary, replica, Replica(primary, name="stock") as stock:
        wait_until(stock.is_linked, 30, "the first link")
        with primary.client() as client:
            client.call("SET", "a", 1)
            expect(client.call("WAIT", 2, 10000), 2)
        follow(stock, replica)
        time.sleep(2)
        expect_true(not stock.is_linked(), "a copy that follows feeds nobody")
        primary.kill()
        with replica.client(timeout=60.0) as client:
            expect_true(client.call("PROMOTE").startswith("OK"), "it is promoted")
        time.sleep(2)
        expect_true(not stock.is_linked(), "a copy that is not confirmed feeds nobody")
        primary.start()
        wait_in_sync(primary)
        wait_until(stock.is_linked, 30, "the link by itself")
        with replica.client(timeout=60.0) as client:
            wait_until(lambda: client.ask("SET", "a", 2) == "OK", 30, "it takes writes")
        settle(replica, stock)
        expect(stock.full_syncs(), 1, "full syncs of the stock replica")
        expect_equal(replica, stock)


# ---- Another state -------------------------------------------------------------------------------

def who_is_fed_is_let_go_of_when_other_data_take_the_place():
    with Server("primary") as primary, Server("other") as other:
        with primary.client() as client, other.client() as stranger:
            client.call("MSET", "a", 1, "b", 2)
            for number in range(20000):
                stranger.send("SET", f"own{number}", "x" * 1000)
            for _ in range(20000):
                stranger.receive()
        with Replica(other, name="stock") as stock, Wire(other.port) as one, \
                Wire(other.port) as two, Wire(other.port) as three:
            wait_until(stock.is_linked, 60, "the first link")
            one.full_sync("psync2")
            two.ask("REPLCONF", "capa", "eof")
            two.ask("PSYNC", "?", "-1")  # in the middle of its dump
            two.take(100000)
            three.ask("PSYNC", "?", "-1")
            with other.client(timeout=60.0) as client:
                expect(client.call("REPLICAOF", "127.0.0.1", primary.port), "OK")
            wait_in_sync(other)
            expect_true(one.is_closed() and two.is_closed() and three.is_closed(), "all are closed")
            expect(replication(other, "connected_slaves"), "0")
            expect_equal_copies(primary, other)
            with other.client(timeout=60.0) as client:
                expect_true(client.call("PROMOTE", "FORCE").startswith("OK"), "it is promoted")
            wait_leads(other)
            wait_until(stock.is_linked, 60, "a link again")
            with other.client(timeout=60.0) as client:
                wait_until(lambda: client.ask("SET", "c", 3) == "OK", 30, "it takes writes")
            settle(other, stock)
            expect(stock.full_syncs(), 2, "full syncs: it is another history")
            expect(expect_equal(other, stock), 3, "keys")
        expect(other.stop(), 0, "the status of the stop")


# ---- Both are told, and counted ------------------------------------------------------------------

def copies_and_stock_replicas_count_together():
    primary, replica = pair()
    with primary, replica, Replica(primary, name="stock") as stock:
        wait_until(stock.is_linked, 30, "the first link")
        with primary.client(timeout=30.0) as client:
            client.call("SET", "a", 1)
            expect(client.call("WAIT", 2, 10000), 2)
            expect(client.call("WAITAOF", 1, 1, 10000), [1, 1])
            for each, other in ((stock, replica), (replica, stock)):
                each.pause()
                try:
                    client.call("SET", "a", each.name)
                    expect(client.call("WAIT", 1, 10000), 1)
                    started = time.monotonic()
                    expect(client.call("WAIT", 2, 300), 1)
                    expect_true(time.monotonic() - started >= 0.29, "it waits as long as it may")
                    client.send("WAIT", 2, 0)
                    expect_true(client.is_silent(0.3), "the wait has no end yet")
                finally:
                    each.resume()
                expect(client.receive(), 2)
                with other.client() as reader:
                    expect(reader.call("GET", "a"), each.name.encode())
            expect(client.call("WAITAOF", 1, 2, 300), [1, 1])  # redis-server 7.0 does not say
            role, offset, others = client.call("ROLE")
            expect(role, b"master")
            expect(sorted(int(port) for _, port, _ in others), sorted((replica.port, stock.port)))
            info = client.info("replication")
            expect(info["connected_slaves"], "2")
            expect_true(f"port={replica.port},state=online" in info["slave0"], info["slave0"])
            expect_true(f"port={stock.port},state=online" in info["slave1"], info["slave1"])
            expect_true(int(info["master_repl_offset"]) >= offset, "offsets only grow")
            wait_until(lambda: len({client.info("replication")["master_repl_offset"],
                                    replication(replica, "master_repl_offset"),
                                    stock.info("master_repl_offset")}) == 1,
                       20, "all three have the stream at one offset")
        with replica.client() as client:
            expect_error(client.ask("WAIT", 1, 10), "ERR")


if __name__ == "__main__":
    run(a_stock_replica_goes_on_at_the_copy_that_takes_the_lead_of_a_dead_one,
        a_stock_replica_goes_on_at_each_copy_that_the_lead_is_handed_to,
        a_stock_replica_that_asks_too_early_goes_on_when_the_copy_leads,
        who_is_fed_is_let_go_of_when_other_data_take_the_place,
        copies_and_stock_replicas_count_together)
