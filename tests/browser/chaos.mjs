// Random faults on one page: the host killed or stopped, the network gone, the engine killed or stopped. While they last and after them the page
// never says Live over a value that is older than five seconds, and after each it ends with every row equal to the server's.
//
//   node chaos.mjs [--seed N] [--from N] [--count N] [--longest-ms N]
//
// Fault N of a seed is always the same one, so that a long run can be made in pieces: --from goes on where another run ended.
import {isDeepStrictEqual, parseArgs} from 'node:util';
import {until} from '../integration/support.mjs';
import {Wire, address, badge, launch, startDemo, statusOf} from './browser.mjs';

const LIVE_MS = 5000;

// mulberry32: small, and the same everywhere.
function randomOf(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Chaos {
  async start() {
    this.demo = await startDemo();
    this.wire = await Wire.to(this.demo.port);
    this.browser = await launch();
    this.context = await this.browser.newContext();
    this.page = await this.context.newPage();
    this.errors = [];
    this.page.on('pageerror', (error) => this.errors.push(error.message));
    await this.page.goto(address(this.demo, `http://127.0.0.1:${this.wire.port}`));
    await badge(this.page, 'live');
    // Looks as a person does: at the badge, and at what the rows below it say.
    await this.page.evaluate((most) => {
      window.seen = {looks: 0, live: 0, values: 0, oldest: 0, lies: []};
      setInterval(() => {
        const root = document.querySelector('job-status-panel').shadowRoot;
        seen.looks += 1;
        if (root.querySelector('.badge').dataset.status !== 'live') return;
        seen.live += 1;
        for (const li of root.querySelectorAll('li[data-state=running]')) {
          const at = /at (\d+)/.exec(li.textContent);
          if (!at) continue;
          const age = Date.now() - Number(at[1]);
          seen.values += 1;
          seen.oldest = Math.max(seen.oldest, age);
          if (age > most) seen.lies.push({age, text: li.textContent, when: new Date().toISOString()});
        }
      }, 100);
    }, LIVE_MS);
  }

  async stop() {
    await this.browser?.close();
    this.wire?.close();
    return this.demo?.stop();
  }

  async signal(part, name) {
    const [pid] = await this.demo.pidsOf(part);
    if (pid) process.kill(pid, name);
    return pid;
  }

  // A part that is stopped for a while. It goes on even when it was replaced meanwhile.
  async stopped(part, ms) {
    const pid = await this.signal(part, 'SIGSTOP');
    await pause(ms);
    try {
      if (pid) process.kill(pid, 'SIGCONT');
    } catch { /* it is gone */ }
  }

  faults = {
    'host killed': () => this.signal('jobcast-host', 'SIGKILL'),
    'host stopped': (ms) => this.stopped('jobcast-host', ms),
    'engine killed': () => this.signal('jobcastd', 'SIGKILL'),
    'engine stopped': (ms) => this.stopped('jobcastd', ms),
    'network gone': async (ms) => {
      this.wire.lose();
      await pause(ms);
      this.wire.mend();
    },
    'network cut': () => this.wire.cut(),
    'browser offline': async (ms) => {
      await this.context.setOffline(true);
      await pause(ms);
      await this.context.setOffline(false);
    },
  };

  // Every job of the server, page by page.
  async jobsOfServer() {
    const jobs = [];
    for (let cursor = ''; cursor !== null;) {
      const response = await this.demo.http(`/v1/jobs?limit=200${cursor && `&cursor=${cursor}`}`).catch(() => null);
      if (!response?.ok) return null;
      const page = await response.json();
      jobs.push(...page.jobs);
      cursor = page.next_cursor;
    }
    return jobs;
  }

  // What keeps the page from being what the server says; empty when nothing does. A job that runs changes while it is looked at: it is compared
  // where the server says the same before and after.
  async differences() {
    const status = await statusOf(this.page);
    if (status !== 'live') return `the badge says ${status}`;
    const before = await this.jobsOfServer();
    const page = await this.page.evaluate(() => {
      const panel = document.querySelector('job-status-panel');
      const rows = [...panel.shadowRoot.querySelectorAll('li')].map((li) => ({id: li.dataset.jobId, state: li.dataset.state, text: li.textContent, width: li.querySelector('.bar i').style.width}));
      return {rows, jobs: panel.client.jobs};
    });
    const after = await this.jobsOfServer();
    if (!before || !after) return 'the server does not answer';
    const [rows, held, revs] = [new Map(page.rows.map((row) => [row.id, row])), new Map(page.jobs.map((job) => [job.job_id, job])), new Map(before.map((job) => [job.job_id, job.rev]))];
    const strange = page.rows.find((row) => !after.some((job) => job.job_id === row.id));
    if (strange) return `the row of ${strange.id} has no job`;
    for (const job of after) {
      const [row, own] = [rows.get(job.job_id), held.get(job.job_id)];
      if (!row || !own) return `${job.job_id} is ${job.state}, and has no row`;
      if (row.state !== job.state) return `${job.job_id} is ${job.state}, its row says ${row.state}`;
      if (revs.get(job.job_id) !== job.rev) {
        if (own.rev < revs.get(job.job_id) && job.state !== 'running') return `${job.job_id} is at ${job.rev}, the page holds ${own.rev}`;
        continue;
      }
      if (job.state === 'running' && own.rev !== job.rev) return `${job.job_id} stands at ${job.rev}, the page holds ${own.rev}`;
      if (!isDeepStrictEqual(own, job)) return `the server says ${JSON.stringify(job)}, the page holds ${JSON.stringify(own)}`;
      const width = job.state === 'completed' ? '100%' : job.progress?.percent != null ? `${job.progress.percent}%` : '';
      if (parseFloat(row.width) !== parseFloat(width) && row.width !== width) return `${job.job_id} is at ${width}, its bar at ${row.width}`;
      const said = [job.meta.title ?? job.kind, job.attempt > 1 && `attempt ${job.attempt} of`, job.state !== 'completed' && job.reason?.replaceAll('_', ' '), job.error, job.state === 'running' && job.progress?.message];
      const unsaid = said.find((words) => words && !row.text.includes(words));
      if (unsaid) return `the row of ${job.job_id} does not say "${unsaid}" but "${row.text}"`;
    }
    return '';
  }

  async fault(seed, number, longestMs) {
    const random = randomOf(seed * 1_000_003 + number);
    const kinds = Object.keys(this.faults);
    const kind = kinds[Math.floor(random() * kinds.length)];
    const share = random();
    const ms = Math.round(Math.min(longestMs, share < 0.6 ? 100 + random() * 1900 : share < 0.9 ? 2000 + random() * 5000 : 7000 + random() * Math.max(0, longestMs - 7000)));
    if (!(await (await this.demo.http('/v1/jobs?state=running,queued,retrying&kind=clock')).json()).jobs.some((job) => job.meta.long))
      await this.demo.submit({kind: 'clock', args: {ms: 600000}, meta: {long: true}});
    const began = Date.now();
    const harm = this.faults[kind](ms);
    await pause(random() * 200);
    // Submitted in the middle of it: answered in the end, and made once.
    const title = `fault ${seed}.${number}`;
    const submitted = this.page.evaluate((name) => document.querySelector('job-status-panel').client.submit({kind: 'clock', args: {ms: 300}, meta: {title: name}}).then((job) => job.job_id, (error) => `refused: ${error.message}`), title);
    await harm;
    let difference = '';
    await until('the page equals the server', async () => !(difference = await this.differences()), 90000)
      .catch(() => { throw new Error(`${kind} for ${ms} ms (fault ${number} of seed ${seed}): ${difference}`); });
    const id = await submitted;
    const made = (await (await this.demo.http('/v1/jobs?limit=50')).json()).jobs.filter((job) => job.meta.title === title).map((job) => job.job_id);
    if (made.length > 1 || (!id.startsWith('refused') && made[0] !== id)) throw new Error(`fault ${number} of seed ${seed}: submitted ${id}, made ${made}`);
    const seen = await this.page.evaluate(() => seen);
    if (seen.lies.length) throw new Error(`${kind} for ${ms} ms (fault ${number} of seed ${seed}): Live over old values: ${JSON.stringify(seen.lies.slice(0, 3))}`);
    if (this.errors.length) throw new Error(`fault ${number} of seed ${seed}: ${this.errors}`);
    return {number, kind, ms: ['host killed', 'engine killed', 'network cut'].includes(kind) ? 0 : ms, over_after_ms: Date.now() - began, submit: id.startsWith('refused') ? id : 'made'};
  }
}

/** Runs the faults and returns what was seen. Errors: the first lie, or the first fault after which page and server stayed apart. */
export async function chaos({seed = 1, from = 0, count = 1000, longestMs = 30000, tell = () => {}} = {}) {
  const run = new Chaos();
  const counts = {};
  try {
    await run.start();
    for (let number = from; number < from + count; ++number) {
      const done = await run.fault(seed, number, longestMs);
      counts[done.kind] = (counts[done.kind] ?? 0) + 1;
      tell(done);
    }
    const {lies, ...seen} = await run.page.evaluate(() => window.seen);
    return {seed, from, faults: counts, oldest_ms_while_live: seen.oldest, looks: seen.looks, looks_live: seen.live, values: seen.values, lies: lies.length};
  } finally {
    await run.stop();
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const {values} = parseArgs({options: {seed: {type: 'string', default: '1'}, from: {type: 'string', default: '0'}, count: {type: 'string', default: '1000'}, 'longest-ms': {type: 'string', default: '30000'}}});
  const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
  say(await chaos({seed: Number(values.seed), from: Number(values.from), count: Number(values.count), longestMs: Number(values['longest-ms']), tell: say}));
}
