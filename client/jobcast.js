// The browser's side of jobcast: one WebSocket while it can be had, conditional GETs while it cannot. ES module, no dependencies.
//
//   import {Jobcast} from './jobcast.js';
//   const jobs = new Jobcast({url: '/jobcast', getToken: () => fetch('/token').then(r => r.text())});
//   jobs.addEventListener('status', e => console.log(e.detail.status));
//   const stop = jobs.watch(jobId, job => bar.value = job.progress.percent);
//   jobs.connect();
//
// Every job is kept at its highest `rev`, so a late poll never undoes what a push has shown. docs/protocol.md is the contract.

const TERMINAL = new Set(['completed', 'failed', 'cancelled']);

/** Whether a job is over: completed, failed or cancelled. */
export const isTerminal = (job) => TERMINAL.has(job.state);

/** An answer of the server's that says no: `code` is the protocol's word for it, `field` the input at fault, `status` HTTP's or 0. */
export class JobcastError extends Error {
  constructor(code, message, {field = null, status = 0} = {}) {
    super(message);
    this.name = 'JobcastError';
    this.code = code;
    this.field = field;
    this.status = status;
  }
}

const DEFAULTS = {
  url: '/jobcast',            // the mount, absolute or relative to the page
  token: null,                // a JWT, or:
  getToken: null,             // () => token or its promise; asked again when a token expires
  attempts: 5,                // connection attempts before polling begins
  backoffMs: 500,             // the first attempt's ceiling; doubles, with full jitter
  backoffMaxMs: 15000,
  retryMs: 30000,             // while polling, a new attempt about so often
  pollMs: 5000,               // conditional GETs: of everything while polling, of what is not pushed while live
  requestMs: 10000,           // an unanswered request fails after it
  pushedMax: 64,              // jobs subscribed at once; the others are polled
};

export class Jobcast extends EventTarget {
  #options;
  #base;
  #socket = null;
  #status = 'closed';         // closed, connecting, live, polling, offline, unauthorized
  #token = null;
  #user = null;
  #failures = 0;
  #nextId = 1;
  #requests = new Map();      // id → {resolve, reject, timer}
  #jobs = new Map();          // job_id → the newest snapshot
  #watchers = new Map();      // job_id → Set of callbacks
  #subscribed = new Set();    // job_ids asked for on the present socket
  #etags = new Map();         // path → ETag of what is known
  #listWanted = false;
  #reconnectTimer = 0;
  #pollTimer = 0;
  #polling = false;
  #listStale = false;
  #heartbeat = 0;

  constructor(options = {}) {
    super();
    this.#options = {...DEFAULTS, ...options};
    this.#base = new URL(this.#options.url.replace(/\/$/, ''), globalThis.location?.href);
    this.#token = this.#options.token;
  }

  /** closed, connecting, live (pushed), polling (no socket, but answers), offline (neither), unauthorized (a new token is needed). */
  get status() { return this.#status; }
  get user() { return this.#user; }
  /** The jobs known here, newest first. */
  get jobs() { return [...this.#jobs.values()].sort((a, b) => (a.job_id < b.job_id ? 1 : -1)); }

  connect() {
    if (this.#status !== 'closed') return;
    this.#failures = 0;
    this.#schedulePoll();
    this.#open();
  }

  /** The reconnect button: tries at once, whatever the backoff says. */
  reconnect() {
    if (this.#status === 'live') return;
    this.#failures = 0;
    clearTimeout(this.#reconnectTimer);
    this.#dropSocket();
    this.#schedulePoll();
    this.#open();
  }

  close() {
    clearTimeout(this.#reconnectTimer);
    clearTimeout(this.#pollTimer);
    this.#dropSocket();
    this.#setStatus('closed');
  }

  /** A new token, for instance after a login. Renews on the open connection. */
  setToken(token) {
    this.#token = token;
    if (this.#status === 'live') this.#authenticate();
    else if (this.#status !== 'closed') this.reconnect();
  }

  /** Calls back with every newer snapshot of the job, the present one included. Returns the function that ends it. */
  watch(jobId, callback) {
    let callbacks = this.#watchers.get(jobId);
    if (!callbacks) this.#watchers.set(jobId, (callbacks = new Set()));
    callbacks.add(callback);
    const known = this.#jobs.get(jobId);
    if (known) queueMicrotask(() => callbacks.has(callback) && callback(known));
    this.#syncSubscriptions();
    return () => {
      callbacks.delete(callback);
      if (callbacks.size === 0 && this.#watchers.get(jobId) === callbacks) this.#watchers.delete(jobId);
      this.#syncSubscriptions();
    };
  }

  /** Follows the whole list of this user's jobs: `job` events for each change, and push for the active ones. */
  watchList() {
    this.#listWanted = true;
    if (this.#status === 'live' || this.#status === 'polling') this.#refreshList();
  }

  async submit(request, {idempotencyKey = crypto.randomUUID()} = {}) {
    const answer = this.#status === 'live'
      ? (await this.#request('submit_job', {...request, idempotency_key: idempotencyKey})).data
      : {job: await this.#fetchJson('POST', '/v1/jobs', {body: request, headers: {'Idempotency-Key': idempotencyKey}})};
    this.#accept(answer.job);
    return answer.job;
  }

  async cancel(jobId) {
    const answer = this.#status === 'live' ? (await this.#request('cancel_job', {job_id: jobId})).data
                                           : {job: await this.#fetchJson('POST', `/v1/jobs/${jobId}/cancel`)};
    if (answer.job) this.#accept(answer.job);
    return this.#jobs.get(jobId);
  }

  async retry(jobId) {
    const job = await this.#fetchJson('POST', `/v1/jobs/${jobId}/retry`);
    this.#accept(job);
    return job;
  }

  async get(jobId) {
    const job = await this.#fetchJson('GET', `/v1/jobs/${jobId}`);
    this.#accept(job);
    return job;
  }

  async list() {
    const page = await this.#fetchJson('GET', '/v1/jobs');
    for (const job of page.jobs) this.#accept(job);
    return page;
  }

  result(jobId) { return this.#fetchJson('GET', `/v1/jobs/${jobId}/result`); }

  async log(jobId) {
    const response = await this.#fetch('GET', `/v1/jobs/${jobId}/log`);
    return response.text();
  }

  // ---- the socket

  async #open() {
    this.#setStatus(this.#failures >= this.#options.attempts ? this.#status : 'connecting');
    const url = new URL(`${this.#base.href}/ws`);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    let socket;
    try {
      await this.#ensureToken();
      socket = new WebSocket(url, 'jobcast.v1');
    } catch (error) {
      this.#lost(null, error);
      return;
    }
    this.#socket = socket;
    socket.onmessage = (message) => this.#socket === socket && this.#receive(JSON.parse(message.data));
    socket.onclose = (event) => this.#socket === socket && this.#lost(event);
  }

  async #ensureToken() {
    if (!this.#token && this.#options.getToken) this.#token = await this.#options.getToken();
  }

  #dropSocket() {
    const socket = this.#socket;
    this.#socket = null;
    this.#subscribed.clear();
    clearInterval(this.#heartbeat);
    for (const {reject, timer} of this.#requests.values()) {
      clearTimeout(timer);
      reject(new JobcastError('closed', 'the connection was lost before the answer came'));
    }
    this.#requests.clear();
    socket?.close();
  }

  #lost(event) {
    this.#dropSocket();
    if (this.#status === 'closed' || this.#status === 'unauthorized') return;
    const stop = event && event.code >= 4400 && event.code < 4500;  // the server says: not with these credentials
    if (stop && !this.#options.getToken) {
      this.#setStatus('unauthorized', event.reason);
      return;
    }
    if (stop) this.#token = null;
    this.#failures += 1;
    if (this.#failures >= this.#options.attempts) {
      if (this.#status !== 'polling' && this.#status !== 'offline') {
        this.#setStatus('polling');
        this.#poll();
      }
      this.#reconnectTimer = setTimeout(() => this.#open(), this.#options.retryMs * (0.75 + Math.random() / 2));
      return;
    }
    this.#setStatus('connecting');
    const ceiling = Math.min(this.#options.backoffMaxMs, this.#options.backoffMs * 2 ** (this.#failures - 1));
    this.#reconnectTimer = setTimeout(() => this.#open(), Math.random() * ceiling);
  }

  #send(event, data, id) {
    this.#socket?.send(JSON.stringify(id === undefined ? {event, data} : {event, data, id}));
  }

  // With the highest rev seen, so that the server tells what was missed.
  #authenticate() {
    const rev = Math.max(0, ...[...this.#jobs.values()].map((job) => job.rev));
    this.#send('authenticate', rev ? {token: this.#token, rev} : {token: this.#token});
  }

  #request(event, data) {
    return new Promise((resolve, reject) => {
      const id = String(this.#nextId++);
      const timer = setTimeout(() => {
        this.#requests.delete(id);
        reject(new JobcastError('retry', `no answer to ${event} within ${this.#options.requestMs} ms`));
      }, this.#options.requestMs);
      this.#requests.set(id, {resolve, reject, timer});
      this.#send(event, data, id);
    });
  }

  #receive({event, data, id}) {
    const request = id === undefined ? undefined : this.#requests.get(id);
    if (request) {
      this.#requests.delete(id);
      clearTimeout(request.timer);
      if (event === 'error' || event === 'auth_error') request.reject(new JobcastError(data.code, data.message, {field: data.field}));
      else request.resolve({event, data});
    }
    switch (event) {
      case 'connected':
        this.dispatchEvent(new CustomEvent('engine', {detail: {stale: data.stale}}));
        if (this.#token) this.#authenticate();
        break;
      case 'authenticated':
        this.#user = data.user_id;
        if (this.#status === 'live') break;  // a renewal
        this.#failures = 0;
        this.#setStatus('live');
        this.#heartbeat = setInterval(() => this.#request('ping', {}).catch(() => this.#socket?.close()), 25000);
        this.#syncSubscriptions();
        if (this.#listWanted) this.#refreshList();
        break;
      case 'auth_expiring':
        this.#renew();
        break;
      case 'auth_error':
        if (this.#options.getToken && data.code === 'token_expired') this.#renew();
        else this.#refused(data.message);
        break;
      case 'subscribed':
        if (data.job) this.#accept(data.job);  // the connection had brought it before
        break;
      case 'job_update':
      case 'job_completed':
        this.#accept(data);
        break;
      case 'job_list_update':
        if (data.job) this.#accept(data.job);
        else this.#refreshList();
        break;
      case 'error':
        // Too many tokens were being verified at once: the same again, but not all of us in the same moment.
        if (data.request === 'authenticate' && data.code === 'retry') setTimeout(() => this.#authenticate(), 200 + Math.random() * 800);
        break;
      case 'engine':
        this.dispatchEvent(new CustomEvent('engine', {detail: data}));
        break;
    }
  }

  async #renew() {
    if (!this.#options.getToken) return;
    try {
      this.#token = await this.#options.getToken();
      this.#authenticate();
    } catch (error) {
      this.#refused(error.message);
    }
  }

  #refused(why) {
    this.#setStatus('unauthorized', why);
    this.#dropSocket();
  }

  #wanted() {
    const wanted = new Set([...this.#watchers.keys()].filter((id) => !this.#jobs.has(id) || !isTerminal(this.#jobs.get(id))));
    if (this.#listWanted) for (const job of this.jobs) if (!isTerminal(job)) wanted.add(job.job_id);
    return new Set([...wanted].slice(0, this.#options.pushedMax));
  }

  #syncSubscriptions() {
    if (this.#status !== 'live') return;
    const wanted = this.#wanted();
    for (const id of this.#subscribed)
      if (!wanted.has(id)) {
        this.#subscribed.delete(id);
        if (!this.#jobs.has(id) || !isTerminal(this.#jobs.get(id))) this.#send('unsubscribe_job', {job_id: id});
      }
    for (const id of wanted)
      if (!this.#subscribed.has(id)) {
        this.#subscribed.add(id);
        const known = this.#jobs.get(id);
        this.#send('subscribe_job', known ? {job_id: id, rev: known.rev} : {job_id: id});
      }
  }

  // ---- polling

  #schedulePoll() {
    clearTimeout(this.#pollTimer);
    this.#pollTimer = setTimeout(() => this.#poll(), this.#options.pollMs);
  }

  // Everything while there is no socket; what is not pushed while there is one. Unchanged answers are 304s without a body.
  async #poll() {
    clearTimeout(this.#pollTimer);
    if (this.#polling || this.#status === 'closed' || this.#status === 'unauthorized') return;
    this.#polling = true;
    try {
      const pushed = this.#status === 'live' ? this.#subscribed : new Set();
      const wanted = [...this.#watchers.keys()].filter((id) => !pushed.has(id) && !(this.#jobs.has(id) && isTerminal(this.#jobs.get(id))));
      if (this.#status !== 'connecting') {
        if (this.#listWanted) await this.#refreshList();
        for (const id of wanted) await this.#pollOne(`/v1/jobs/${id}`, (job) => this.#accept(job));
        if (this.#status === 'polling' && wanted.length === 0 && !this.#listWanted) await this.#pollOne('/health/ready', () => {});
        if (this.#status === 'offline') this.#setStatus('polling');
      }
    } catch (error) {
      if (this.#status === 'polling' && !(error instanceof JobcastError && error.status > 0)) this.#setStatus('offline');
    } finally {
      this.#polling = false;
      if (this.#status !== 'closed' && this.#status !== 'unauthorized') this.#schedulePoll();
    }
  }

  async #pollOne(path, use) {
    const etag = this.#etags.get(path);
    const response = await this.#fetch('GET', path, etag ? {headers: {'If-None-Match': etag}} : {}, [304]);
    if (response.status === 304) return;
    if (response.headers.get('ETag')) this.#etags.set(path, response.headers.get('ETag'));
    use(await response.json().catch(() => null));
  }

  async #refreshList() {
    if (this.#listStale) return;
    this.#listStale = true;  // joins the refreshes that a burst of changes asks for
    try {
      await new Promise((resolve) => setTimeout(resolve, 50));
      this.#listStale = false;
      await this.#pollOne('/v1/jobs', (page) => page?.jobs?.forEach((job) => this.#accept(job)));
    } catch (error) {
      this.#listStale = false;
      if (this.#status !== 'live') throw error;  // while live the next poll tries again
    }
  }

  async #fetch(method, path, {body, headers = {}} = {}, alsoFine = []) {
    await this.#ensureToken();
    const response = await fetch(this.#base.href + path, {
      method,
      headers: {
        ...(this.#token ? {Authorization: `Bearer ${this.#token}`} : {}),
        ...(body === undefined ? {} : {'Content-Type': 'application/json'}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',  // the ETags are kept here
      signal: AbortSignal.timeout(this.#options.requestMs),
    });
    if (response.ok || alsoFine.includes(response.status)) return response;
    const problem = await response.json().catch(() => ({}));
    throw new JobcastError(problem.code ?? 'internal', problem.detail ?? problem.title ?? `HTTP ${response.status}`,
                           {field: problem.field ?? null, status: response.status});
  }

  async #fetchJson(method, path, options) {
    return (await this.#fetch(method, path, options)).json();
  }

  // ---- what is known

  #accept(job) {
    const known = this.#jobs.get(job.job_id);
    if (known && known.rev >= job.rev) return;
    this.#jobs.set(job.job_id, job);
    this.dispatchEvent(new CustomEvent('job', {detail: job}));
    for (const callback of [...(this.#watchers.get(job.job_id) ?? [])]) callback(job);
    if (isTerminal(job) ? this.#subscribed.delete(job.job_id) : !this.#subscribed.has(job.job_id)) this.#syncSubscriptions();
  }

  #setStatus(status, detail = null) {
    if (status === this.#status) return;
    this.#status = status;
    this.dispatchEvent(new CustomEvent('status', {detail: {status, detail}}));
  }
}
