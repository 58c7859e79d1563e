// A page whose tokens end, are withdrawn or cannot be had for a while, in a real Chromium against a real host and engine.
import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {until} from '../integration/support.mjs';
import {launch, startDemo} from './browser.mjs';

let demo, browser, page;
const faults = [];

before(async () => {
  demo = await startDemo();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  assert.deepEqual(await demo.stop(), {code: 0, signal: null});
  assert.deepEqual(faults, []);
});

// A client in a page of its own, window.jobs: signed in with `token`, and with what `getToken` (here, in the test) gives it.
async function client(token, getToken) {
  page = await browser.newPage();
  page.on('pageerror', (error) => faults.push(error.message));
  await page.exposeFunction('getToken', getToken);
  await page.goto(`${demo.url.split('#')[0]}page.css`);
  await page.evaluate(async (given) => {
    const {Jobcast} = await import('/jobcast.js');
    window.jobs = new Jobcast({url: '/jobcast', token: given, getToken: () => window.getToken()});
    jobs.watchList();
    jobs.connect();
  }, token);
}
const status = () => page.evaluate(() => jobs.status);
const is = (wanted) => until(`it is ${wanted}`, async () => (await status()) === wanted);
// How old the message of the one job that runs is, in ms.
const ageOf = () => page.evaluate(() => Date.now() - Number(jobs.jobs.find((job) => job.state === 'running').progress?.message.slice(3)));
const tokenFor = (...options) => demo.tokenFor(demo.user, 'jobs:submit jobs:cancel', ...options);

test('a token whose key was rotated is exchanged for a fresh one, not for a page that is signed out', async () => {
  const old = await tokenFor();
  await writeFile(join(demo.state_dir, 'hs256.key'), randomBytes(32).toString('hex'));
  await until('the old key is withdrawn', async () => (await demo.http('/v1/jobs', {token: old})).status === 401);
  demo.token = await tokenFor();
  let asked = 0;
  await client(old, () => (++asked, tokenFor()));
  await is('live');
  assert.equal(asked, 1);
  await page.close();
});

test('a token that ends while no other can be had is not Live over old values, and all comes back with the next', async () => {
  const job = await demo.submit({kind: 'clock', args: {ms: 60000}});
  let asked = 0;
  const slow = async () => {
    if (++asked <= 2) throw new Error('the one who gives tokens is away');
    await new Promise((resolve) => setTimeout(resolve, 7000));
    return tokenFor();
  };
  await client(await tokenFor('--expires-in', '6'), slow);
  await is('live');
  const bad = [];
  await until('a fresh token is used', async () => {
    const age = await ageOf();
    if ((await status()) === 'live' && age > 5000) bad.push(age);
    return asked >= 3 && (await page.evaluate(() => jobs.token !== null)) && (await status()) === 'live' && age < 1000;
  }, 30000);
  assert.deepEqual(bad, []);
  await until('the job still moves', async () => (await ageOf()) < 500);
  await demo.http(`/v1/jobs/${job.job_id}/cancel`, {method: 'POST'});
  await page.close();
});
