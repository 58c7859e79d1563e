// The client and the panel in a real Chromium, against a real host and engine: what the badge promises, and what reaches the engine.
import assert from 'node:assert/strict';
import {after, afterEach, before, test} from 'node:test';
import {until} from '../integration/support.mjs';
import {Wire, address, badge, launch, startDemo, statusOf} from './browser.mjs';

let demo, browser, context;
const faults = [];

before(async () => {
  demo = await startDemo();
  browser = await launch('--host-resolver-rules=MAP jobs.example 127.0.0.1');
  context = await browser.newContext({viewport: {width: 900, height: 860}});
});
after(async () => {
  await browser?.close();
  assert.deepEqual(await demo.stop(), {code: 0, signal: null});
  assert.deepEqual(faults, []);
});

async function open(url = address(demo), prepare = () => {}) {
  const page = await context.newPage();
  page.on('pageerror', (error) => faults.push(error.message));
  await prepare(page);
  await page.goto(url);
  return page;
}

const withoutSockets = (page) => page.addInitScript(() => {
  window.WebSocket = class { static OPEN = 1; constructor() { setTimeout(() => this.onclose?.({code: 1006, reason: ''}), 1); } close() {} send() {} };
});

// A client of its own in the page: `body` may use Jobcast, token and until().
const inPage = (page, body, argument) => page.evaluate(async ([text, token, given]) => {
  const {Jobcast} = await import('/jobcast.js');
  const until = async (condition) => { while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10)); };
  return new (Object.getPrototypeOf(async () => {}).constructor)('Jobcast', 'token', 'until', 'given', text)(Jobcast, token, until, given);
}, [body, demo.token, argument]);

const active = async () => (await (await demo.http('/v1/jobs?state=running,queued,retrying&limit=200')).json()).jobs;
const cancelAll = async () => {
  for (const {job_id} of await active()) await demo.http(`/v1/jobs/${job_id}/cancel`, {method: 'POST'});
  await until('nothing is active', async () => (await active()).length === 0, 30000);
};
afterEach(cancelAll);
const lostWithin5s = async (page) => {
  const began = Date.now();
  await until('it is not Live any more', async () => (await statusOf(page)) !== 'live');
  const ms = Date.now() - began;
  assert.ok(ms < 5000, `Live for ${ms} ms`);
};

test('a host that is stopped is not Live for longer than five seconds', async () => {
  const job = await demo.submit({kind: 'clock', args: {ms: 60000}});
  const page = await open();
  await badge(page, 'live');
  const [host] = await demo.pidsOf('jobcast-host');
  process.kill(host, 'SIGSTOP');
  try {
    await lostWithin5s(page);
  } finally {
    process.kill(host, 'SIGCONT');
  }
  await badge(page, 'live', 40000);
  await page.close();
});

test('a server that comes back just when the page begins to poll is Live again within seconds, not half a minute later', async () => {
  const page = await open();
  await inPage(page, `
    window.own = new Jobcast({url: '/jobcast', token, attempts: 2, openMs: 700, backoffMs: 100});
    own.watchList();
    own.connect();
    await until(() => own.status === 'live');`);
  const [host] = await demo.pidsOf('jobcast-host');
  process.kill(host, 'SIGSTOP');
  try {
    await until('the client polls', () => page.evaluate(() => own.status === 'polling'));
  } finally {
    process.kill(host, 'SIGCONT');
  }
  await until('the client is Live again', () => page.evaluate(() => own.status === 'live'), 8000);
});

test('it is not Live while a running job is known only from a list that is older than five seconds', async () => {
  const job = await demo.submit({kind: 'clock', args: {ms: 60000}});
  await until('it speaks', async () => (await (await demo.http(`/v1/jobs/${job.job_id}`)).json()).progress?.message);
  const page = await open('about:blank');
  await page.route('**/v1/jobs?limit=50', async (route) => {  // the list comes late,
    const response = await route.fetch();
    await new Promise((resolve) => setTimeout(resolve, 6000));
    await route.fulfill({response});
  });
  await page.routeWebSocket(/\/ws$/, (ws) => {  // and what follows the answer to a subscription a little later than that
    let held = null;
    const server = ws.connectToServer();
    server.onMessage((text) => {
      if (held) return held.push(text);
      ws.send(text);
      if (JSON.parse(text).event !== 'subscribed') return;
      held = [];
      setTimeout(() => held.splice(0).forEach((each) => ws.send(each)) || (held = null), 1000);
    });
  });
  await page.goto(`${demo.url.split('#')[0]}page.css`);
  const age = await inPage(page, `
    const jobs = new Jobcast({url: '/jobcast', token});
    jobs.watchList();
    jobs.connect();
    await until(() => jobs.status === 'live');
    const [at] = jobs.jobs.filter((job) => job.state === 'running').map((job) => Number(/at (\\d+)/.exec(job.progress.message)[1]));
    jobs.close();
    return Date.now() - at;`);
  assert.ok(age < 5000, `Live over a value that is ${age} ms old`);
  await page.close();
});

test('an engine that is stopped is not Live for longer than five seconds', async () => {
  const job = await demo.submit({kind: 'clock', args: {ms: 60000}});
  const page = await open();
  await badge(page, 'live');
  const [engine] = await demo.pidsOf('jobcastd');
  process.kill(engine, 'SIGSTOP');
  try {
    await lostWithin5s(page);
    await badge(page, 'stale');
    assert.ok(await page.locator('job-status-panel .stale').isVisible());
  } finally {
    process.kill(engine, 'SIGCONT');
  }
  await badge(page, 'live', 40000);
  assert.ok(!await page.locator('job-status-panel .stale').isVisible());
  await page.close();
});

test('a network that loses everything without a word is not Live for longer than five seconds', async () => {
  const wire = await Wire.to(demo.port);
  const page = await open(address(demo, `http://127.0.0.1:${wire.port}`));
  await badge(page, 'live');
  wire.lose();
  await lostWithin5s(page);
  wire.mend();
  await badge(page, 'live', 60000);
  await page.close();
  wire.close();
});

test('a browser that goes offline says so, and is Live again as soon as it is online', async () => {
  const page = await open();
  await badge(page, 'live');
  await context.setOffline(true);
  await badge(page, 'offline', 5000);
  await context.setOffline(false);
  await badge(page, 'live', 10000);
  await page.close();
});

test('with more than 64 active jobs the running ones move, and stand first', async () => {
  const jobs = [];
  for (let i = 0; i < 120; ++i) jobs.push(await demo.submit({kind: 'clock', args: {ms: 120000}}));
  const page = await open();
  await badge(page, 'live', 40000);
  const rows = page.locator('job-status-panel li');
  await until('all rows', async () => (await rows.count()) >= 120);
  const first = (what) => rows.evaluateAll((items, name) => items.slice(0, 3).map((item) => item.dataset[name]), what);
  assert.deepEqual(await first('state'), ['running', 'running', 'queued']);
  assert.deepEqual((await first('jobId')).slice(0, 2), [jobs[1].job_id, jobs[0].job_id], 'the oldest run first');
  const age = () => rows.evaluateAll((items) => items.slice(0, 2).map((item) => Date.now() - Number(/at (\d+)/.exec(item.innerText)?.[1] ?? 0)));
  for (let i = 0; i < 10; ++i) {
    for (const ms of await age()) assert.ok(ms < 5000, `a running row is ${ms} ms old`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  await cancelAll();
  await until('every row is told the end', async () => (await page.locator('job-status-panel li:not([data-state=cancelled])').count()) === await page.locator('job-status-panel li[data-state=completed]').count(), 30000);
  await page.close();
});

for (const [how, prepare] of [['over the socket', () => {}], ['while it polls', withoutSockets]])
  test(`sixty submits at once all succeed ${how}`, async () => {
    const page = await open('about:blank', prepare);
    await page.goto(`${demo.url.split('#')[0]}page.css`);
    const ids = await inPage(page, `
      const jobs = new Jobcast({url: '/jobcast', token, backoffMs: 1});
      jobs.connect();
      await until(() => jobs.status === 'live' || jobs.status === 'polling');
      const made = await Promise.all(Array.from({length: 60}, (_, i) => jobs.submit({kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d'], board: 'Ts9s2h'}, meta: {i}})));
      jobs.close();
      return made.map((job) => job.job_id);`);
    assert.equal(new Set(ids).size, 60);
    await page.close();
  });

test('a submit whose answer is lost is repeated with the same key and makes one job', async () => {
  const keys = [];
  const page = await open('about:blank', withoutSockets);
  await page.route('**/v1/jobs', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    keys.push(route.request().headers()['idempotency-key']);
    if (keys.length > 2) return route.continue();
    const response = await route.fetch();  // the engine has the job
    assert.ok(response.ok());
    await route.abort('connectionreset');
  });
  await page.goto(`${demo.url.split('#')[0]}page.css`);
  const id = await inPage(page, `return (await new Jobcast({url: '/jobcast', token}).submit({kind: 'fails', meta: {title: 'once'}})).job_id;`);
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
  const made = (await (await demo.http('/v1/jobs?kind=fails')).json()).jobs.filter((job) => job.meta.title === 'once');
  assert.deepEqual(made.map((job) => job.job_id), [id]);
  await page.close();
});

test('a submit that is given up without an answer says that it may have been carried out', async () => {
  const page = await open('about:blank', withoutSockets);
  await page.route('**/v1/jobs', async (route) => {
    if (route.request().method() === 'POST') await route.fetch();  // the engine has the job
    await route.abort('connectionreset');
  });
  await page.goto(`${demo.url.split('#')[0]}page.css`);
  const said = await inPage(page, `return new Jobcast({url: '/jobcast', token, submitMs: 300}).submit({kind: 'fails'}).catch((error) => error.message);`);
  assert.match(said, /no answer.* it may have been carried out/);
  await page.close();
});

test('a submit that the host did not live to answer is answered by the next one, and makes one job', async () => {
  const page = await open();
  await badge(page, 'live');
  const [host] = await demo.pidsOf('jobcast-host');
  process.kill(host, 'SIGSTOP');
  const made = page.evaluate(() => document.querySelector('job-status-panel').client.submit({kind: 'fails', meta: {title: 'survivor'}}).then((job) => job.job_id));
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.kill(host, 'SIGKILL');
  const id = await made;
  const jobs = (await (await demo.http('/v1/jobs?kind=fails')).json()).jobs.filter((job) => job.meta.title === 'survivor');
  assert.deepEqual(jobs.map((job) => job.job_id), [id]);
  await page.close();
});

for (const [how, prepare] of [['over the socket', () => {}], ['while it polls', withoutSockets]])
  test(`watching a job that is not there tells its watcher and holds up nobody ${how}`, async () => {
    const job = await demo.submit({kind: 'clock', args: {ms: 3000}});
    const page = await open('about:blank', prepare);
    await page.goto(`${demo.url.split('#')[0]}page.css`);
    const told = await inPage(page, `
      const jobs = new Jobcast({url: '/jobcast', token, backoffMs: 1, pollMs: 500});
      const told = {absent: null, states: []};
      jobs.watch('00000000-0000-4000-8000-000000000000', (job, error) => (told.absent = [job, error.code]));
      jobs.watch(given, (job) => told.states.push(job.state));
      jobs.connect();
      await until(() => told.absent && told.states.at(-1) === 'completed');
      jobs.close();
      return told;`, job.job_id);
    assert.deepEqual(told.absent, [null, 'not_found']);
    assert.equal(told.states.at(-1), 'completed');
    await page.close();
  });

test('what is no job id is told at once, and costs the others nothing', async () => {
  const job = await demo.submit({kind: 'clock', args: {ms: 60000}});
  const page = await open();
  await badge(page, 'live');
  const told = await page.evaluate(async (id) => {
    const {client} = document.querySelector('job-status-panel');
    const [told, states] = [[], []];
    client.addEventListener('status', ({detail}) => states.push(detail.status));
    for (const wrong of ['', 'nonsense', '../x', null, 42, 'x'.repeat(300000)]) client.watch(wrong, (job, error) => told.push(error.code));
    const loud = await new Promise((resolve) => client.watch(id.toUpperCase(), resolve));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return {told, states, loud: loud.job_id};
  }, job.job_id);
  assert.deepEqual(told, {told: Array(6).fill('not_found'), states: [], loud: job.job_id});
  await page.close();
});

test('a submit that is too large is refused in words, and costs no connection', async () => {
  const page = await open();
  await badge(page, 'live');
  const [error, states] = await page.evaluate(async () => {
    const {client} = document.querySelector('job-status-panel');
    const states = [];
    client.addEventListener('status', ({detail}) => states.push(detail.status));
    return [await client.submit({kind: 'fails', meta: {title: 'x'.repeat(200000)}}).then(() => null, ({code, status, message}) => ({code, status, message})), states];
  });
  assert.deepEqual([error.code, error.status, states], ['invalid', 413, []]);
  assert.match(error.message, /bytes/);
  await page.close();
});

test('a submit that the server cannot read is refused in words and at once', async () => {
  const page = await open();
  await badge(page, 'live');
  const told = await page.evaluate(async () => {
    const {client} = document.querySelector('job-status-panel');
    const began = performance.now();
    const deep = JSON.parse('['.repeat(200) + ']'.repeat(200));
    const refused = (args) => client.submit({kind: 'fails', args}).then(() => 'made', ({code, message}) => `${code}: ${message}`);
    const told = await Promise.all([refused({text: '\0'}), refused({text: '\ud800'}), refused({deep}), client.submit({kind: 'fails', meta: {title: 'beside them'}}).then((job) => job.kind)]);
    return {told, ms: performance.now() - began};
  });
  for (const [i, word] of [/u0000/, /not JSON/, /nests deeper/, /^fails$/].entries()) assert.match(told.told[i], word);
  assert.ok(told.ms < 8000, `${told.ms} ms`);
  await page.close();
});

test('where no socket can be had, a server that takes three seconds for each answer is slow, not Offline', async () => {
  const page = await open('about:blank', withoutSockets);
  await page.goto(`${demo.url.split('#')[0]}page.css`);
  await page.route('**/jobcast/health/ready', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await route.continue();
  });
  const seen = await inPage(page, `
    const jobs = new Jobcast({url: '/jobcast', token, attempts: 1, pollMs: 200});
    const seen = [];
    jobs.addEventListener('status', ({detail}) => seen.push(detail.status));
    jobs.watchList();
    jobs.connect();
    await new Promise((resolve) => setTimeout(resolve, 8000));
    jobs.close();
    return seen;`);
  assert.deepEqual(seen, ['connecting', 'polling', 'closed']);
  await page.close();
});

test('jobs are submitted from a page on plain HTTP that is not localhost', async () => {
  const page = await open(address(demo, `http://jobs.example:${demo.port}`));
  await badge(page, 'live');
  assert.equal(await page.evaluate(() => isSecureContext), false);
  await page.fill('[name=board]', 'Ts9s2h');
  await page.selectOption('[name=mode]', 'exact');
  await page.click('button[type=submit]');
  await page.locator('job-status-panel li[data-state=completed] table.equity').first().waitFor();
  assert.ok(await page.locator('#problem').isHidden());
  await page.close();
});

test('a token that is refused while polling signs out, and a fresh one signs in again', async () => {
  const page = await open('about:blank', withoutSockets);
  await page.goto(`${demo.url.split('#')[0]}page.css`);
  const seen = await inPage(page, `
    const jobs = new Jobcast({url: '/jobcast', token: token + 'x', backoffMs: 1, pollMs: 200});
    const seen = [];
    jobs.addEventListener('status', ({detail}) => seen.push(detail.status));
    jobs.watchList();
    jobs.connect();
    await until(() => jobs.status === 'unauthorized');
    jobs.setToken(token);
    await until(() => jobs.status === 'polling' && jobs.jobs.length > 0);
    jobs.close();
    return seen;`);
  assert.ok(seen.includes('unauthorized'));
  await page.close();
});
