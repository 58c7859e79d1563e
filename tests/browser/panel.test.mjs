// <job-status-panel> where pages put it: mounted a hundred times, moved, below a strict policy, behind a proxy, with titles that nobody expects.
// With JOBCAST_PICTURES=DIR it leaves a picture of each for somebody to look at.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {until} from '../integration/support.mjs';
import {address, badge, launch, startDemo} from './browser.mjs';

let demo, browser, proxy;
const faults = [];

// nginx as people have it: the page below a path of its own, and below another one under a strict policy.
async function startProxy() {
  const dir = await mkdtemp(join(tmpdir(), 'jobcast-nginx-'));
  const port = await new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const free = probe.address().port;
      probe.close(() => resolve(free));
    });
  });
  await writeFile(join(dir, 'nginx.conf'), `
    daemon off; pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1;
    events { worker_connections 64; }
    http {
      access_log off;
      client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
      map $http_upgrade $upgrade { default ""; websocket websocket; }
      map $http_upgrade $connection_header { default ""; websocket upgrade; }
      server {
        listen 127.0.0.1:${port};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $upgrade;
        proxy_set_header Connection $connection_header;
        location /tools/jobs/ { proxy_pass http://127.0.0.1:${demo.port}/; }
        location /strict/ {
          proxy_pass http://127.0.0.1:${demo.port}/;
          add_header Content-Security-Policy "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'";
        }
      }
    }`);
  const nginx = spawn(process.env.NGINX ?? '/usr/sbin/nginx', ['-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')], {stdio: 'inherit'});
  const gone = new Promise((resolve) => nginx.once('exit', resolve));
  const stop = async () => {
    nginx.kill('SIGTERM');
    await gone;
    await rm(dir, {recursive: true, force: true});
  };
  const base = `http://127.0.0.1:${port}`;
  await until('nginx answers', () => fetch(`${base}/tools/jobs/jobcast/health/live`).then((response) => response.ok, () => false));
  return {base, stop};
}

before(async () => {
  demo = await startDemo();
  proxy = await startProxy();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await proxy?.stop();
  assert.deepEqual(await demo.stop(), {code: 0, signal: null});
  assert.deepEqual(faults, []);
});

async function open(url = address(demo), options = {}, prepare = () => {}) {
  const page = await browser.newPage({viewport: {width: 900, height: 860}, ...options});
  page.on('pageerror', (error) => faults.push(error.message));
  await prepare(page);
  await page.goto(url);
  return page;
}
const picture = (page, name) => process.env.JOBCAST_PICTURES ? page.screenshot({path: `${process.env.JOBCAST_PICTURES}/${name}.png`}) : null;

test('a hundred mounts leave no node, no listener and no timer behind', async () => {
  const page = await open();
  await badge(page, 'live');
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const counted = async () => {
    for (let i = 0; i < 3; ++i) await devtools.send('HeapProfiler.collectGarbage');
    const {metrics} = await devtools.send('Performance.getMetrics');
    return Object.fromEntries(metrics.filter(({name}) => ['Nodes', 'JSEventListeners'].includes(name)).map(({name, value}) => [name, value]));
  };
  const mount = (times) => page.evaluate(async (n) => {
    const shared = document.getElementById('panel').client;
    for (let i = 0; i < n; ++i) {
      for (const own of [false, true]) {
        const panel = document.createElement('job-status-panel');
        panel.setAttribute('url', '/jobcast');
        document.body.append(panel);
        if (own) panel.token = shared.token;
        else panel.client = shared;
        await new Promise((resolve) => setTimeout(resolve, 20));
        panel.remove();
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  }, times);
  await demo.submit({kind: 'fails', meta: {title: 'a row to draw'}});
  await mount(5);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const first = await counted();
  await mount(50);
  const settled = await until('as before', async () => {
    const now = await counted();
    return now.Nodes <= first.Nodes + 20 && now.JSEventListeners <= first.JSEventListeners + 5 && now;
  }, 20000).catch(async () => assert.fail(`before ${JSON.stringify(first)}, after ${JSON.stringify(await counted())}`));
  assert.ok(settled);
  await page.close();
});

test('a panel that is moved keeps its token, its rows and its connection', async () => {
  const job = await demo.submit({kind: 'clock', args: {ms: 60000}});
  const page = await open(`${demo.url.split('#')[0]}page.css`);
  await page.evaluate(async (token) => {
    document.body.innerHTML = '<section id=a></section><section id=b></section>';
    await import('/job-status-panel.js');
    const panel = document.createElement('job-status-panel');
    panel.setAttribute('url', '/jobcast');
    document.getElementById('a').append(panel);
    panel.token = token;
  }, demo.token);
  await badge(page, 'live');
  const row = page.locator(`job-status-panel li[data-job-id="${job.job_id}"]`);
  await row.waitFor();
  const statuses = await page.evaluate(async () => {
    const panel = document.querySelector('job-status-panel');
    const seen = [];
    panel.client.addEventListener('status', ({detail}) => seen.push(detail.status));
    document.getElementById('b').append(panel);
    await new Promise((resolve) => setTimeout(resolve, 200));
    return seen;
  });
  assert.deepEqual(statuses, [], 'it stays connected');
  assert.equal(await page.locator('#b job-status-panel li').count() > 0, true);
  await page.evaluate(async () => {  // taken out, and put back later
    const panel = document.querySelector('job-status-panel');
    panel.remove();
    await new Promise((resolve) => setTimeout(resolve, 200));
    if (panel.client.status !== 'closed') throw new Error(`out of the document it is ${panel.client.status}`);
    document.getElementById('a').append(panel);
  });
  await badge(page, 'live');
  await demo.http(`/v1/jobs/${job.job_id}/cancel`, {method: 'POST'});
  await page.locator(`#a job-status-panel li[data-job-id="${job.job_id}"]:is([data-state=cancelled], [data-state=completed])`).waitFor();
  await page.close();
});

test('what it shows is drawn before the badge says Live, not a frame later', async () => {
  const job = await demo.submit({kind: 'fails', meta: {title: 'drawn in time'}});
  const page = await open('about:blank', {}, (fresh) => fresh.addInitScript(() => { window.requestAnimationFrame = () => 1; }));  // a frame that never comes
  await page.goto(address(demo));
  const ids = await page.evaluate(async () => {
    const root = document.querySelector('job-status-panel').shadowRoot;
    while (root.querySelector('.badge').dataset.status !== 'live') await new Promise((resolve) => setTimeout(resolve, 5));
    return [...root.querySelectorAll('li')].map((li) => li.dataset.jobId);
  });
  assert.ok(ids.includes(job.job_id));
  await page.close();
});

test("it is styled under style-src 'self'", async () => {
  const refused = [];
  const page = await open(address(demo, `${proxy.base}/strict`), {}, async (fresh) => {
    fresh.on('console', (message) => /Content.Security.Policy/i.test(message.text()) && refused.push(message.text()));
  });
  await badge(page, 'live');
  await demo.submit({kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d'], board: 'Ts9s2h'}});
  const row = page.locator('job-status-panel li[data-state=completed]').first();
  await until('a full bar', () => row.locator('.bar i').evaluate((fill) => fill.offsetWidth > 100));
  assert.equal(await row.evaluate((li) => getComputedStyle(li).borderRadius), '10px');
  await picture(page, 'strict-policy');
  assert.deepEqual(refused, []);
  await page.close();
});

test('no title, message or width breaks it', async () => {
  const LONG = 'unbroken'.repeat(60);
  const titles = [LONG, 'תור לעיבוד וידאו', {not: 'a text'}, '', 42, ['a', 'list'], '<img src=x onerror=alert(1)>', '\u202Eturned around'];
  for (const title of titles) await demo.submit({kind: 'fails', meta: {title}});
  await demo.submit({kind: 'plo-equity', args: {hands: [LONG, 'שלום']}, meta: {title: 'مرحبا بالعالم'}});
  await demo.submit({kind: 'clock', args: {ms: 30000}, meta: {title: 'one that runs'}});
  for (const [name, options] of [['wide', {}], ['phone', {viewport: {width: 390, height: 1400}}], ['forced-colours', {forcedColors: 'active'}], ['dark-phone', {viewport: {width: 390, height: 1400}, colorScheme: 'dark'}]]) {
    const page = await open(address(demo), options);
    await badge(page, 'live');
    const rows = page.locator('job-status-panel li');
    await until('all rows', async () => (await rows.count()) >= titles.length + 2);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${name} scrolls sideways`);
    for (const box of await rows.evaluateAll((items) => items.map((li) => [li.scrollWidth - li.clientWidth, li.querySelector('.state').getBoundingClientRect().right - li.getBoundingClientRect().right])))
      assert.ok(box[0] <= 0 && box[1] <= 0, `${name}: something sticks out of a row by ${box}`);
    const text = (await rows.allInnerTexts()).join('\n');
    assert.ok(!text.includes('[object'), text);
    assert.ok(text.includes('<img src=x'), 'a title is a text');
    if (name === 'forced-colours') {
      const [bar, fill] = await page.locator('li[data-state=running] .bar').first().evaluate((node) => [getComputedStyle(node).borderTopWidth, getComputedStyle(node.firstChild).backgroundColor]);
      assert.equal(bar, '1px');
      assert.notEqual(fill, 'rgb(255, 255, 255)');
    }
    await page.evaluate(() => document.querySelector('job-status-panel').scrollIntoView());
    await picture(page, `titles-${name}`);
    await page.close();
  }
});

test('page, submits and socket work below a path of their own behind nginx', async () => {
  const page = await open(`${proxy.base}/tools/jobs/${new URL(demo.url).hash}`);  // the short address: demo/token.txt is below the path too
  await badge(page, 'live');
  await page.fill('[name=board]', 'Ts9s2h');
  await page.selectOption('[name=mode]', 'exact');
  const before = await page.locator('job-status-panel li').count();
  await page.click('button[type=submit]');
  await until('a new row', async () => (await page.locator('job-status-panel li').count()) > before);
  await page.locator('job-status-panel li[data-state=completed] table.equity').first().waitFor();
  await page.close();
});
