// SPDX-License-Identifier: Apache-2.0
// What both client tests need: tests with a bound, and a server that can be killed and started
// again. The Python program that started us does that when it reads KILL on our output.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

export { assert };

export const port = Number(process.env.TIDEMARK_PORT);
export const SLOWNESS = Number(process.env.TIDEMARK_SLOWNESS ?? 1); // of a sanitized server
const TEST_MS_MAX = 30000 * SLOWNESS;

const lines = createInterface({ input: process.stdin });
const waiting = [];
lines.on('line', (line) => waiting.shift()?.(line));

// Kills the server with SIGKILL and starts it on the same data; resolves when it serves again.
export function killAndStart() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    process.stdout.write('KILL\n');
  });
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Calls `condition` until it is true.
export async function until(condition, what) {
  for (let i = 0; i < 500 * SLOWNESS; i++) {
    if (await condition()) return;
    await sleep(20);
  }
  assert.fail(`did not come true: ${what}`);
}

function bounded(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${TEST_MS_MAX} ms`)), TEST_MS_MAX);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Runs {sentence: function}; `before` prepares each. Prints a line a test and the sum.
export async function run(tests, before) {
  let passed = 0;
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await bounded(before());
      await bounded(test());
      passed += 1;
      console.log(`  ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`  FAILED ${name}\n${error.stack}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed || !passed ? 1 : 0);
}
