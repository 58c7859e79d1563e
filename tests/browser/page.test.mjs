// The demo page in a real Chromium, through a real host and engine: submit, live progress, cancel, the connection badge.
// With JOBCAST_PICTURES=DIR the pictures of the documents are taken anew.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {chromium} from 'playwright-core';
import {Demo, until} from '../integration/support.mjs';

let demo, browser, page;
const faults = [];

before(async () => {
  demo = await Demo.start();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  page = await browser.newPage({viewport: {width: 900, height: 860}, colorScheme: 'light'});
  page.on('pageerror', (error) => faults.push(error.message));
  await page.goto(demo.url);
});

after(async () => {
  await browser?.close();
  assert.deepEqual(await demo.stop(), {code: 0, signal: null});
  assert.deepEqual(faults, []);
});

const badge = (status) => page.locator(`job-status-panel .badge[data-status=${status}]`).waitFor({timeout: 20000});
const rows = () => page.locator('job-status-panel li');
const picture = (name) => process.env.JOBCAST_PICTURES ? page.screenshot({path: `${process.env.JOBCAST_PICTURES}/${name}.png`}) : null;

async function submit(hands, mode = 'exact', trials = 0) {
  const ids = () => rows().evaluateAll((items) => items.map((item) => item.dataset.jobId));
  const before = new Set(await ids());
  await page.fill('[name=hands]', hands.join('\n'));
  await page.selectOption('[name=mode]', mode);
  if (trials) await page.fill('[name=trials]', String(trials));
  await page.click('button[type=submit]');
  const fresh = await until('a new row', async () => (await ids()).find((id) => !before.has(id)));
  return page.locator(`job-status-panel li[data-job-id="${fresh}"]`);
}

test('the address loses its token and the badge says Live', async () => {
  await badge('live');
  assert.ok(!page.url().includes('token'));
});

test('a submitted job shows live progress, then its equities', async () => {
  const row = await submit(['AsAhKsKh', '8c7d6c5d', 'QdJdTc9c'], 'monte-carlo', 100_000_000);
  const bar = row.locator('[role=progressbar]');
  const seen = new Set();
  await until('it completes', async () => {
    const value = await bar.getAttribute('aria-valuenow');
    if (value !== null) seen.add(Number(value));
    return (await row.getAttribute('data-state')) === 'completed';
  }, 60000);
  assert.ok(seen.size > 3, `the bar moved: ${[...seen]}`);
  assert.deepEqual([...seen], [...seen].sort((a, b) => a - b));
  await row.locator('table.equity').waitFor();
  assert.match(await row.locator('table.equity').innerText(), /AsAhKsKh\s+\d+\.\d\d %/);
  await submit(['AsAhKsKh', '8c7d6c5d']);  // exact: over before one sees it move
  const third = await submit(['As2sKhQh', 'JdTd9c8c'], 'monte-carlo', 300_000_000);
  await until('a third of it', async () => Number(await third.locator('[role=progressbar]').getAttribute('aria-valuenow')) > 33, 60000);
  await picture('page');
  await page.emulateMedia({colorScheme: 'dark'});
  await picture('page-dark');
  await page.emulateMedia({colorScheme: 'light'});
});

test('a phone shows all of it without scrolling sideways', async () => {
  const size = page.viewportSize();
  await page.setViewportSize({width: 320, height: 640});
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 320);
  await page.setViewportSize(size);
});

test('bad cards are refused in words that name the card', async () => {
  const row = await submit(['AsAhKsKh', 'As7d6c5d']);
  await row.locator('.error', {hasText: 'As'}).waitFor();
  await until('it failed', async () => (await row.getAttribute('data-state')) === 'failed');
});

test('a running job is cancelled by its button', async () => {
  const row = await submit(['AsAhKsKh', '8c7d6c5d'], 'monte-carlo', 1_000_000_000);
  await until('it runs', async () => (await row.getAttribute('data-state')) === 'running');
  await row.locator('button.cancel').click();
  await until('it is cancelled', async () => (await row.getAttribute('data-state')) === 'cancelled');
});

test('the host dies: the badge says so, and all comes back without a reload', async () => {
  const row = await submit(['AsAhKsKh', '8c7d6c5d'], 'monte-carlo', 1_000_000_000);
  await until('it runs', async () => (await row.getAttribute('data-state')) === 'running');
  const [host] = await demo.pidsOf('jobcast-host');
  process.kill(host, 'SIGKILL');
  await badge('connecting');
  await badge('live');
  const bar = row.locator('[role=progressbar]');
  const value = await bar.getAttribute('aria-valuenow');
  await until('the bar moves again', async () => (await bar.getAttribute('aria-valuenow')) !== value);
  await row.locator('button.cancel').click();
  await until('it is cancelled', async () => (await row.getAttribute('data-state')) === 'cancelled');
});

test('the engine dies: the page catches up and the job ends completed', async () => {
  const row = await submit(['AsAhKsKh', '8c7d6c5d'], 'monte-carlo', 100_000_000);
  await until('it runs', async () => (await row.getAttribute('data-state')) === 'running');
  const [engine] = await demo.pidsOf('jobcastd');
  process.kill(engine, 'SIGKILL');
  await until('it completes', async () => (await row.getAttribute('data-state')) === 'completed', 60000);
  assert.match(await row.innerText(), /attempt 2 of 3/);
  await badge('live');
});

test('jobs are there again after a reload, newest first', async () => {
  const before = await rows().evaluateAll((items) => items.map((item) => item.dataset.jobId));
  await page.reload();
  await badge('live');
  await until('the list', async () => (await rows().count()) >= before.length);
  assert.deepEqual(await rows().evaluateAll((items) => items.map((item) => item.dataset.jobId)), before);
});

test('without the socket it polls, and says so', async () => {
  const other = await browser.newPage();
  await other.addInitScript(() => { window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({code: 1006, reason: ''}), 1); } close() {} send() {} }; });
  await other.goto(`${demo.url.split('#')[0]}#token=${demo.token}`);
  await other.evaluate(() => customElements.whenDefined('job-status-panel'));
  await other.locator('job-status-panel .badge[data-status=polling]').waitFor({timeout: 30000});
  await demo.submit({kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d'], board: 'Ts9s2h'}, meta: {title: 'polled job'}});
  await other.locator('job-status-panel li[data-state=completed]', {hasText: 'polled job'}).waitFor({timeout: 15000});
  await other.close();
});
