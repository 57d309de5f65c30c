// SPDX-License-Identifier: Apache-2.0
// The npm package `ioredis` against tidemark.
import Redis from 'ioredis';
import { assert, killAndStart, port, run, until } from './harness.mjs';

function client() {
  const made = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 50 });
  made.on('error', () => {}); // a reconnect is part of the tests
  return made;
}

const main = client();

const tests = {
  async 'strings and numbers'() {
    assert.equal(await main.set('s', 'v'), 'OK');
    assert.equal(await main.get('s'), 'v');
    assert.equal(await main.get('none'), null);
    assert.equal(await main.set('s', 'w', 'NX'), null);
    assert.equal(await main.set('s', 'w', 'EX', 100, 'GET'), 'v');
    assert.ok((await main.ttl('s')) > 95);
    assert.equal(await main.incrby('n', 41), 41);
    assert.equal(await main.incrbyfloat('n', 0.5), '41.5');
    assert.deepEqual(await main.mget('s', 'none', 'n'), ['w', null, '41.5']);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await main.set('bytes', bytes);
    assert.deepEqual(await main.getBuffer('bytes'), bytes);
    assert.equal(await main.del('s', 'n', 'none'), 2);
  },
  async hashes() {
    assert.equal(await main.hset('h', { a: 1, b: 2 }), 2);
    assert.deepEqual(await main.hgetall('h'), { a: '1', b: '2' });
    assert.deepEqual(await main.hgetall('none'), {});
    assert.deepEqual(await main.hmget('h', 'a', 'x'), ['1', null]);
    assert.equal(await main.hincrby('h', 'a', 5), 6);
    assert.equal(await main.hdel('h', 'a', 'x'), 1);
  },
  async lists() {
    assert.equal(await main.rpush('l', 'a', 'b', 'c'), 3);
    assert.equal(await main.lpush('l', 'z'), 4);
    assert.deepEqual(await main.lrange('l', 0, -1), ['z', 'a', 'b', 'c']);
    assert.equal(await main.lmove('l', 'm', 'RIGHT', 'LEFT'), 'c');
    assert.deepEqual(await main.lpop('l', 2), ['z', 'a']);
    assert.equal(await main.lpop('none'), null);
  },
  async sets() {
    assert.equal(await main.sadd('s', 'a', 'b', 'c'), 3);
    assert.equal(await main.sismember('s', 'a'), 1);
    assert.deepEqual((await main.smembers('s')).sort(), ['a', 'b', 'c']);
    await main.sadd('t', 'b', 'c', 'd');
    assert.deepEqual((await main.sinter('s', 't')).sort(), ['b', 'c']);
  },
  async 'sorted sets'() {
    assert.equal(await main.zadd('z', 1, 'a', 2.5, 'b', '+inf', 'c'), 3);
    assert.deepEqual(await main.zrange('z', 0, -1, 'WITHSCORES'), ['a', '1', 'b', '2.5', 'c', 'inf']);
    assert.deepEqual(await main.zrangebyscore('z', '(1', '+inf', 'LIMIT', 0, 1), ['b']);
    assert.equal(await main.zincrby('z', 1, 'a'), '2');
    assert.deepEqual(await main.zpopmin('z'), ['a', '2']);
    assert.equal(await main.zrank('z', 'c'), 1);
  },
  async transactions() {
    const replies = await main.multi().set('a', '1').incr('a').ping().lpop('a').get('a').exec();
    assert.deepEqual(replies.map(([error]) => error && error.message.split(' ')[0]),
      [null, null, null, 'WRONGTYPE', null]);
    assert.deepEqual(replies.map(([, reply]) => reply), ['OK', 2, 'PONG', undefined, '2']);
    await assert.rejects(main.multi().set('a').exec(), /EXECABORT/);
  },
  async 'a watched key that changes ends the transaction'() {
    const other = client();
    await main.set('w', '1');
    await main.watch('w');
    await other.set('w', '2');
    assert.equal(await main.multi().set('w', '3').exec(), null);
    assert.equal(await main.get('w'), '2');
    other.disconnect();
  },
  async 'a pipeline comes back in order'() {
    const pipeline = main.pipeline();
    for (let i = 0; i < 3000; i++) {
      if (i % 3) pipeline.incr('n');
      else pipeline.echo(String(i));
    }
    const replies = await pipeline.exec();
    let count = 0;
    replies.forEach(([error, reply], i) => {
      assert.equal(error, null);
      assert.equal(reply, i % 3 ? ++count : String(i));
    });
  },
  async 'a blocking pop waits for another connection'() {
    const other = client();
    const popped = other.blpop('queue', 5);
    await until(async () => /blocked_clients:1\r/.test(await main.info('clients')), 'blocked');
    await main.rpush('queue', 'job');
    assert.deepEqual(await popped, ['queue', 'job']);
    assert.equal(await other.bzpopmin('none', 0.05), null);
    other.disconnect();
  },
  async 'publish and subscribe'() {
    const listener = client();
    const heard = [];
    listener.on('message', (channel, message) => heard.push([channel, message]));
    listener.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
    assert.equal(await listener.subscribe('news', 'more'), 2);
    assert.equal(await listener.psubscribe('n*'), 3);
    assert.equal(await main.publish('news', 'hello'), 2);
    await until(() => heard.length === 2, 'both messages');
    assert.deepEqual(heard, [['news', 'hello'], ['n*', 'news', 'hello']]);
    assert.equal(await listener.unsubscribe('news', 'more'), 1);
    assert.equal(await listener.punsubscribe(), 0);
    assert.equal(await listener.get('none'), null);
    listener.disconnect();
  },
  async 'streams of scan see everything'() {
    const names = Array.from({ length: 500 }, (_, i) => `key:${i}`);
    await main.mset(names.flatMap((name) => [name, '1']));
    const seen = new Set();
    for await (const keys of main.scanStream({ match: 'key:*', count: 50 })) {
      for (const key of keys) seen.add(key);
    }
    assert.equal(seen.size, 500);
    await main.sadd('big', names);
    const members = new Set();
    for await (const part of main.sscanStream('big', { count: 100 })) {
      for (const member of part) members.add(member);
    }
    assert.equal(members.size, 500);
  },
  async 'errors are told as such'() {
    await main.set('s', 'v');
    await assert.rejects(main.lpush('s', 'x'), /WRONGTYPE/);
    await assert.rejects(main.call('NOSUCH', 'x'), /unknown command 'NOSUCH'/);
    await assert.rejects(main.call('GET'), /wrong number of arguments for 'get' command/);
    assert.equal(await main.get('s'), 'v');
  },
  async 'acked data is there after kill -9 and the client comes back by itself'() {
    const listener = client();
    const heard = [];
    listener.on('message', (channel, message) => heard.push(message));
    await listener.subscribe('c');
    await main.set('acked', 'yes');
    const writes = [];
    for (let i = 0; i < 200; i++) writes.push(main.rpush('log', String(i)));
    await Promise.all(writes);
    await killAndStart();
    assert.equal(await main.get('acked'), 'yes');
    assert.deepEqual(await main.lrange('log', 0, -1), Array.from({ length: 200 }, (_, i) => String(i)));
    await until(async () => (await main.publish('c', 'again')) === 1, 'subscribed again');
    await until(() => heard.length > 0, 'the message');
    listener.disconnect();
  },
};

await run(tests, () => main.flushall());
