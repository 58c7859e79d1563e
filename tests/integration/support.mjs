// Starts the real thing, `jobcast demo`, and speaks to it as clients do: fetch, the ws package, raw SSE. No test sleeps to synchronise:
// `until` polls a condition with a bound, everything else waits for an event.
//
// JOBCAST_BIN names the directory of the binaries. JOBCAST_TEST_SERVER, where set, is a program that takes demo's options and prints demo's
// JSON line: that is how the same suite runs against a real lwsws.

import {execFile, spawn} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {promisify} from 'node:util';
import WebSocket from 'ws';

export const bin = process.env.JOBCAST_BIN ?? new URL('../../build/bin', import.meta.url).pathname;
// Monte Carlo trials that take plo-equity a few seconds; the sanitizers make it twenty times slower.
export const secondsOfTrials = process.env.JOBCAST_SANITIZED ? 5_000_000 : 100_000_000;
const run = promisify(execFile);

export async function until(what, condition, ms = 15000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export class Demo {
  static async start(...options) {
    const demo = new Demo();
    demo.dir = await mkdtemp(join(tmpdir(), 'jobcast-test-'));
    const program = process.env.JOBCAST_TEST_SERVER ?? join(bin, 'jobcast');
    const words = process.env.JOBCAST_TEST_SERVER ? [] : ['demo'];
    demo.child = spawn(program, [...words, '--port', '0', '--state-dir', demo.dir, '--no-samples', '--json', ...options], {stdio: ['ignore', 'pipe', 'pipe']});
    demo.stderr = '';
    demo.child.stderr.on('data', (text) => (demo.stderr += text));
    demo.exited = new Promise((resolve) => demo.child.once('exit', (code, signal) => resolve({code, signal})));
    const first = await Promise.race([
      new Promise((resolve) => createInterface({input: demo.child.stdout}).once('line', resolve)),
      demo.exited.then(({code}) => { throw new Error(`demo ended with ${code}: ${demo.stderr}`); }),
    ]);
    Object.assign(demo, JSON.parse(first));
    demo.base = `http://127.0.0.1:${demo.port}/jobcast`;
    return demo;
  }

  async stop() {
    this.child.kill('SIGTERM');
    const end = await this.exited;
    await rm(this.dir, {recursive: true, force: true});
    return end;
  }

  async cli(...words) {
    return (await run(join(bin, 'jobcast'), words, {env: {...process.env, JOBCAST_SOCKET: this.engine_socket}, maxBuffer: 1 << 24})).stdout;
  }

  async tokenFor(user, scope = 'jobs:submit jobs:cancel', ...options) {
    return (await this.cli('token', '--state-dir', this.state_dir, '--user', user, '--scope', scope, ...options)).trim();
  }

  // A GET, or what `init` says, with this demo's token; `token: null` goes without.
  async http(path, {token = this.token, headers = {}, json, ...init} = {}) {
    return fetch(this.base + path, {
      ...init,
      headers: {...(token ? {Authorization: `Bearer ${token}`} : {}), ...(json === undefined ? {} : {'Content-Type': 'application/json'}), ...headers},
      body: json === undefined ? init.body : JSON.stringify(json),
    });
  }

  async submit(request, options = {}) {
    const response = await this.http('/v1/jobs', {method: 'POST', json: request, ...options});
    if (response.status !== 201) throw new Error(`submit: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async ended(jobId, ms = 30000) {
    return until(`job ${jobId} ends`, async () => {
      const response = await this.http(`/v1/jobs/${jobId}`).catch(() => null);
      const job = response?.ok ? await response.json() : null;
      return job && ['completed', 'failed', 'cancelled'].includes(job.state) && job;
    }, ms);
  }

  // The ids of the present engine or host, among all that this demo started: they change when it restarts one that died.
  async pidsOf(part) {
    const found = [];
    for (const queue = [this.child.pid]; queue.length > 0;) {
      const pid = queue.pop();
      const below = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')).trim();
      queue.push(...below.split(/\s+/).filter(Boolean).map(Number));
      if ((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim() === part) found.push(pid);
    }
    return found;
  }
}

// One ws connection: keeps every message in order and lets a test wait for the one it means.
export class Socket {
  constructor(demo, {headers = {}, protocols = ['jobcast.v1'], path = '/ws'} = {}) {
    this.messages = [];
    this.raw = [];
    this.waiters = new Set();
    this.ws = new WebSocket(demo.base.replace('http', 'ws') + path, protocols, {headers, perMessageDeflate: false});
    this.opened = new Promise((resolve, reject) => {
      this.ws.once('open', resolve);
      this.ws.once('error', reject);
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => this.ws.once('close', (code, reason) => resolve({code, reason: reason.toString()})));
    this.ws.on('error', () => {});
    this.ws.on('message', (text) => {
      this.raw.push(text.toString());
      this.messages.push(JSON.parse(text));
      for (const waiter of [...this.waiters]) waiter();
    });
  }

  static async open(demo, token = demo.token, options = {}) {
    const socket = new Socket(demo, options);
    await socket.opened;
    if (token) {
      socket.send('authenticate', {token});
      await socket.event('authenticated');
    }
    return socket;
  }

  send(event, data, id) {
    this.ws.send(JSON.stringify(id === undefined ? {event, data} : {event, data, id}));
  }

  async request(event, data) {
    const id = `r${(this.lastId = (this.lastId ?? 0) + 1)}`;
    this.send(event, data, id);
    return this.find(`answer ${id} to ${event}`, (message) => message.id === id);
  }

  event(name, test = () => true) {
    return this.find(name, (message) => message.event === name && test(message.data));
  }

  find(what, test, ms = 20000) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.messages.find(test);
        if (!found) return;
        done();
        resolve(found);
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`not within ${ms} ms: ${what}; got ${this.messages.slice(-5).map((m) => JSON.stringify(m)).join('\n')}`));
      }, ms);
      const done = () => {
        clearTimeout(timer);
        this.waiters.delete(look);
      };
      this.waiters.add(look);
      look();
    });
  }

  of(jobId) {
    return this.messages.filter((m) => (m.event === 'job_update' || m.event === 'job_completed') && m.data.job_id === jobId);
  }

  close() {
    this.ws.close();
    return this.closed;
  }
}

// One SSE stream; events are {id, event, data (text)}.
export class Stream {
  static async open(demo, path, {token = demo.token, headers = {}} = {}) {
    const stream = new Stream();
    stream.abort = new AbortController();
    stream.events = [];
    stream.response = await demo.http(path, {token, headers: {Accept: 'text/event-stream', ...headers}, signal: stream.abort.signal});
    if (stream.response.ok) stream.#read().catch(() => {});
    return stream;
  }

  async #read() {
    let buffer = '';
    for await (const chunk of this.response.body) {
      buffer += Buffer.from(chunk).toString();
      let cut;
      while ((cut = buffer.indexOf('\n\n')) >= 0) {
        const event = {};
        for (const line of buffer.slice(0, cut).split('\n')) {
          const colon = line.indexOf(': ');
          if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
        }
        buffer = buffer.slice(cut + 2);
        if (event.data !== undefined) this.events.push(event);
      }
    }
  }

  event(name, test = () => true, ms = 20000) {
    return until(`SSE ${name}`, () => this.events.find((e) => e.event === name && test(JSON.parse(e.data))), ms);
  }

  // Not waited for: node 18 may never end a body that was aborted after its last byte.
  close() { this.abort.abort(); }
}
