// SPDX-License-Identifier: Apache-2.0
// The npm package `redis` (node-redis) against tidemark, in RESP2 and RESP3.
import { createClient, WatchError } from 'redis';
import { SLOWNESS, assert, killAndStart, port, run, sleep, until } from './harness.mjs';

function client(options = {}) {
  const made = createClient({
    socket: { host: '127.0.0.1', port, reconnectStrategy: 50 },
    ...options,
  });
  made.on('error', () => {}); // a reconnect is part of the tests
  return made.connect();
}

let main;
const plain = (reply) => ({ ...reply });

const tests = {
  async 'strings and numbers'() {
    assert.equal(await main.set('s', 'v'), 'OK');
    assert.equal(await main.get('s'), 'v');
    assert.equal(await main.get('none'), null);
    assert.equal(await main.set('s', 'w', { NX: true }), null);
    assert.equal(await main.set('s', 'w', { GET: true, EX: 100 }), 'v');
    assert.ok((await main.ttl('s')) > 95);
    assert.equal(await main.incrBy('n', 41), 41);
    assert.equal(await main.incrByFloat('n', 0.5), '41.5');
    assert.deepEqual(await main.mGet(['s', 'none', 'n']), ['w', null, '41.5']);
    assert.equal(await main.append('s', 'x'.repeat(100000)), 100001);
    assert.equal((await main.get('s')).length, 100001);
    assert.equal(await main.del(['s', 'n', 'none']), 2);
  },
  async hashes() {
    assert.equal(await main.hSet('h', { a: '1', b: '2' }), 2);
    assert.deepEqual(plain(await main.hGetAll('h')), { a: '1', b: '2' });
    assert.deepEqual(plain(await main.hGetAll('none')), {});
    assert.deepEqual(await main.hmGet('h', ['a', 'x']), ['1', null]);
    assert.equal(await main.hIncrBy('h', 'a', 5), 6);
    assert.equal(await main.hDel('h', ['a', 'x']), 1);
  },
  async lists() {
    assert.equal(await main.rPush('l', ['a', 'b', 'c']), 3);
    assert.equal(await main.lPush('l', 'z'), 4);
    assert.deepEqual(await main.lRange('l', 0, -1), ['z', 'a', 'b', 'c']);
    assert.equal(await main.lMove('l', 'm', 'RIGHT', 'LEFT'), 'c');
    assert.deepEqual(await main.lPopCount('l', 2), ['z', 'a']);
    assert.equal(await main.lPop('none'), null);
    assert.deepEqual(await main.lmPop(['none', 'l'], 'LEFT'), ['l', ['b']]);
  },
  async sets() {
    assert.equal(await main.sAdd('s', ['a', 'b', 'c']), 3);
    assert.equal(await main.sIsMember('s', 'a'), 1);
    assert.deepEqual((await main.sMembers('s')).sort(), ['a', 'b', 'c']);
    await main.sAdd('t', ['b', 'c', 'd']);
    assert.deepEqual((await main.sInter(['s', 't'])).sort(), ['b', 'c']);
    assert.deepEqual(await main.sDiff(['s', 't']), ['a']);
    assert.equal(await main.sCard('s'), 3);
  },
  async 'sorted sets'() {
    const members = [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }, { score: 1e100, value: 'c' }];
    assert.equal(await main.zAdd('z', members), 3);
    assert.deepEqual((await main.zRangeWithScores('z', 0, -1)).map(plain), members.map((m) => ({
      value: m.value, score: m.score,
    })));
    assert.equal(await main.zScore('z', 'b'), 2.5);
    assert.equal(await main.zScore('z', 'none'), null);
    assert.deepEqual(await main.zRange('z', '(1', '+inf', { BY: 'SCORE' }), ['b', 'c']);
    assert.equal(await main.zIncrBy('z', 1, 'a'), 2);
    assert.deepEqual(plain(await main.zPopMin('z')), { value: 'a', score: 2 });
    assert.equal(await main.zRank('z', 'c'), 1);
  },
  async transactions() {
    const replies = await main.multi().set('a', '1').incr('a').ping().get('a').exec();
    assert.deepEqual(replies, ['OK', 2, 'PONG', '2']);
    await assert.rejects(main.multi().set('a', 'x').incr('a').exec(), ({ replies, errorIndexes }) => {
      assert.equal(replies[0], 'OK');
      assert.match(replies[1].message, /not an integer/);
      return errorIndexes.length === 1;
    });
    assert.deepEqual(await main.multi().exec(), []);
  },
  async 'a watched key that changes ends the transaction'() {
    const other = await client();
    await main.set('w', '1');
    await main.watch('w');
    await other.set('w', '2');
    await assert.rejects(main.multi().set('w', '3').exec(), WatchError);
    assert.equal(await main.get('w'), '2');
    await main.watch('w');
    assert.deepEqual(await main.multi().set('w', '3').exec(), ['OK']);
    other.destroy();
  },
  async 'many commands at once come back in order'() {
    const sent = [];
    for (let i = 0; i < 3000; i++) sent.push(i % 3 ? main.incr('n') : main.echo(String(i)));
    const replies = await Promise.all(sent);
    let count = 0;
    replies.forEach((reply, i) => assert.equal(reply, i % 3 ? ++count : String(i)));
  },
  async 'a blocking pop waits for another connection'() {
    const other = await client();
    const popped = other.blPop('queue', 5);
    await until(async () => /blocked_clients:1\r/.test(await main.info('clients')), 'blocked');
    await main.rPush('queue', ['job', 'next']);
    assert.deepEqual(plain(await popped), { key: 'queue', element: 'job' });
    assert.equal(await other.blPop('none', 0.05), null);
    const ended = other.blPop('none', 0);
    await until(async () => /blocked_clients:1\r/.test(await main.info('clients')), 'blocked');
    other.destroy();
    await assert.rejects(ended);
    await until(async () => /blocked_clients:0\r/.test(await main.info('clients')), 'unblocked');
  },
  async 'publish and subscribe'() {
    const listener = await client();
    const heard = [];
    await listener.subscribe('news', (message, channel) => heard.push([channel, message]));
    await listener.pSubscribe('n*', (message, channel) => heard.push(['p', channel, message]));
    assert.equal(await main.publish('news', 'hello'), 2);
    assert.equal(await main.publish('other', 'hello'), 0);
    await until(() => heard.length === 2, 'both messages');
    assert.deepEqual(heard, [['news', 'hello'], ['p', 'news', 'hello']]);
    await listener.unsubscribe('news');
    await listener.pUnsubscribe('n*');
    assert.equal(await main.publish('news', 'hello'), 0);
    assert.equal(await listener.get('none'), null);
    listener.destroy();
  },
  async 'iterators see everything'() {
    const names = Array.from({ length: 500 }, (_, i) => `key:${i}`);
    await main.mSet(names.flatMap((name) => [name, '1']));
    const seen = new Set();
    for await (const keys of main.scanIterator({ MATCH: 'key:*', COUNT: 50 })) {
      for (const key of keys) seen.add(key);
    }
    assert.equal(seen.size, 500);
    await main.hSet('big', Object.fromEntries(names.map((name) => [name, name])));
    const fields = new Map();
    for await (const entries of main.hScanIterator('big', { COUNT: 100 })) {
      for (const { field, value } of entries) fields.set(field, value);
    }
    assert.equal(fields.size, 500);
    assert.equal(fields.get('key:7'), 'key:7');
  },
  async 'errors are told as such'() {
    await main.set('s', 'v');
    await assert.rejects(main.lPush('s', 'x'), /^Error: WRONGTYPE|WRONGTYPE/);
    await assert.rejects(main.sendCommand(['NOSUCH', 'x']), /unknown command 'NOSUCH'/);
    await assert.rejects(main.sendCommand(['GET']), /wrong number of arguments for 'get' command/);
    await assert.rejects(main.sendCommand(['EVAL', 'return 1', '0']), /unknown command/);
    assert.equal(await main.get('s'), 'v');
  },
  async 'acked data is there after kill -9 and the client comes back by itself'() {
    // This client can meet the dying listener, be reset while it connects, and then take itself for
    // ready for ever: its own race, and likelier the longer a process takes to die. So it has three
    // kills to come back from one.
    let cameBack = false;
    for (let round = 0; round < 3 * SLOWNESS && !cameBack; round++) {
      await main.set('acked', `yes ${round}`);
      const writes = [];
      for (let i = 0; i < 200; i++) writes.push(main.rPush(`log ${round}`, String(i)));
      await Promise.all(writes);
      await killAndStart();
      const answer = await Promise.race([main.ping().catch(() => 'gone'), sleep(5000)]);
      cameBack = answer === 'PONG';
      if (!cameBack) {
        main.destroy();
        main = await client();
      }
      assert.equal(await main.get('acked'), `yes ${round}`);
      const all = Array.from({ length: 200 }, (_, i) => String(i));
      assert.deepEqual(await main.lRange(`log ${round}`, 0, -1), all);
    }
    assert.ok(cameBack, 'the client came back by itself');
  },
  async 'in RESP3 replies have their own types'() {
    const three = await client({ RESP: 3 });
    await three.hSet('h', { a: '1' });
    assert.deepEqual(plain(await three.hGetAll('h')), { a: '1' });
    await three.sAdd('s', ['a', 'b']);
    assert.deepEqual([...(await three.sMembers('s'))].sort(), ['a', 'b']);
    await three.zAdd('z', [{ score: 1.5, value: 'a' }]);
    assert.equal(await three.zScore('z', 'a'), 1.5);
    assert.deepEqual((await three.zRangeWithScores('z', 0, -1)).map(plain), [{ value: 'a', score: 1.5 }]);
    assert.equal(await three.get('none'), null);
    assert.deepEqual(await three.multi().set('a', '1').get('a').exec(), ['OK', '1']);
    const heard = [];
    await three.subscribe('c', (message) => heard.push(message)); // and commands go on
    assert.equal(await three.publish('c', 'm'), 1);
    await until(() => heard.length === 1, 'the message');
    assert.equal(await three.ping(), 'PONG');
    assert.deepEqual(plain(await three.configGet('maxclients')), { maxclients: '10000' });
    three.destroy();
  },
};

main = await client();
await run(tests, () => main.flushAll());
