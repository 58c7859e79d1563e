// A short run of chaos.mjs; `./dev soak page` makes the long one.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {chaos} from './chaos.mjs';

test('ten random faults never show Live over old values, and the page ends equal to the server', async () => {
  const seen = await chaos({seed: 7, count: 10, longestMs: 8000});
  assert.equal(seen.lies, 0);
  assert.ok(seen.values > 20, `it looked at ${seen.values} values`);
});
