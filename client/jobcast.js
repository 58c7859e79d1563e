// The browser's side of jobcast: one WebSocket while it can be had, conditional GETs while it cannot. ES modules, no dependencies.
//
//   import {Jobcast} from './jobcast.js';
//   const jobs = new Jobcast({url: '/jobcast', getToken: () => fetch('/token').then(r => r.text())});
//   const stop = jobs.watch(jobId, job => bar.value = job?.progress?.percent ?? 0);
//   jobs.connect();
//
// Every job is kept at its highest `rev`, so a late poll never undoes what a push has shown. docs/protocol.md is the contract.
// `live` is a promise: page, server and engine answered each other within the last five seconds. Whoever cannot say that says so.

import {DEFAULTS, JobcastError, RANK, Since, callEach, compareJobs, fitsMessage, isTerminal, noJobId, passes, pause, randomKey, refusesToken, repeat, withoutNetwork} from './basics.js';
import {Connection} from './connection.js';
import {Http} from './http.js';
import {Reader} from './reader.js';
import {Subscriptions} from './subscriptions.js';
export {JobcastError, compareJobs, isTerminal};

const FULL_MS = 30000;         // so often all active jobs are compared with the server's, whatever was pushed
const LIVE_POLL_MS = 2500;    // for running jobs that are not pushed: `live` allows five seconds

export class Jobcast extends EventTarget {
  #options;
  #http;
  #reader;
  #connection = null;
  #phase = 'closed';          // closed, connecting, open, polling, offline, unauthorized
  #status = 'closed';
  #engineAway = false;
  #engineHeard = new Since();
  #probed = new Since();
  #user = null;
  #failures = 0;
  #jobs = new Map();          // job_id → the newest snapshot
  #doubted = new Set();       // job_ids whose snapshot any other replaces: the server began another life
  #watchers = new Map();      // job_id → Set of callbacks
  #absent = new Map();        // watched job_id → why there is no such job
  #subscriptions;
  #polling = false;           // a poll is under way
  #again = false;             // a list is to be fetched once more
  #listWanted = false;
  #refreshing = null;
  #fetchedAll = new Since();
  #timers = {};
  #unlisten = null;

  constructor(options = {}) {
    super();
    this.#options = {...DEFAULTS, ...options};
    this.#http = new Http(this.#options, (error) => this.#phase !== 'closed' && this.#refused(error));
    this.#reader = new Reader(this.#http);
    this.#subscriptions = new Subscriptions({
      revOf: (id) => (this.#doubted.has(id) ? 0 : this.#jobs.get(id)?.rev ?? 0),
      isFirst: (id) => (this.#jobs.get(id)?.state ?? 'running') === 'running',
      isActive: (id) => this.#active(id),
      onJob: (job) => this.#accept(job),
      onAbsent: (id, error) => this.#gone(id, error),
      onAgain: () => this.#resubscribe(),
    });
  }

  /** closed, connecting, live (pushed), stale (the job engine is away), polling (no socket, but answers), offline (neither), unauthorized. */
  get status() { return this.#status; }
  get user() { return this.#user; }
  get token() { return this.#http.token; }
  /** The jobs known here: running ones first, then those that wait, then those that are over; the newest first. */
  get jobs() { return [...this.#jobs.values()].sort(compareJobs); }

  connect() {
    if (this.#phase !== 'closed') return;
    const listen = (target, names, act) => names.forEach((name) => target?.addEventListener?.(name, act, {signal: this.#unlisten.signal}));
    this.#unlisten = new AbortController();
    listen(globalThis, ['online'], () => this.reconnect());
    listen(globalThis, ['offline'], () => this.#lost(null));
    listen(globalThis, ['pageshow'], () => this.#seen());
    listen(globalThis.document, ['visibilitychange', 'resume'], () => this.#seen());
    this.#timers.pulse = setInterval(() => this.#pulse(), 250);
    this.#enter('connecting');
    this.#open();
    this.#schedulePoll();
  }

  /** The reconnect button: tries at once, whatever the backoff says. */
  reconnect() {
    if (this.#phase !== 'closed' && this.#status !== 'live') this.#restart();
  }

  #restart() {
    this.#failures = 0;
    this.#drop();
    this.#enter('connecting');
    this.#open();
    this.#schedulePoll();
  }

  close() {
    this.#unlisten?.abort();
    clearInterval(this.#timers.pulse);
    this.#drop();
    clearTimeout(this.#timers.poll);
    this.#enter('closed');
  }

  /** A new token, for instance after a login. Renews on the open connection. */
  setToken(token) {
    this.#http.token = token;
    if (this.#phase === 'open') this.#authenticate(this.#connection).catch((error) => error.code === 'user_mismatch' ? this.#restart() : passes(error) || this.#refused(error));
    else this.reconnect();
  }

  /** Calls back with every newer snapshot of the job, the present one included; with (null, error) where there is no such job, or no longer.
      Returns the function that ends it. */
  watch(jobId, callback) {
    const id = String(jobId).toLowerCase();
    const callbacks = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, callbacks.add(callback));
    const [known, absent] = [this.#jobs.get(id), this.#absent.get(id) ?? noJobId(id)];
    if (known || absent) queueMicrotask(() => callbacks.has(callback) && callEach([callback], known ?? null, absent));
    this.#resubscribe();
    return () => {
      callbacks.delete(callback);
      if (callbacks.size === 0 && this.#watchers.get(id) === callbacks) {
        this.#watchers.delete(id);
        this.#absent.delete(id);
      }
      this.#resubscribe();
    };
  }

  /** Follows the whole list of this user's jobs: `job` events for each change, and push for the active ones. */
  watchList() {
    this.#listWanted = true;
    if (this.#phase !== 'closed' && this.#phase !== 'unauthorized') this.#refresh().catch(() => this.#schedulePoll());
  }

  /** Repeated with the same key while no answer comes: it makes one job, however often it is sent. */
  async submit(request, {idempotencyKey} = {}) {
    const {idempotency_key: own, ...rest} = request;
    const key = own ?? idempotencyKey ?? randomKey();
    return this.#ask('submit_job', {...rest, idempotency_key: key}, () => this.#http.fetchJson('POST', '/v1/jobs', {body: rest, headers: {'Idempotency-Key': key}}));
  }

  async cancel(jobId) { return this.#ask('cancel_job', {job_id: jobId}, () => this.#http.fetchJson('POST', `/v1/jobs/${jobId}/cancel`)); }
  async retry(jobId) { return this.#accept(await this.#http.fetchJson('POST', `/v1/jobs/${jobId}/retry`)); }
  async get(jobId) { return this.#accept(await this.#http.fetchJson('GET', `/v1/jobs/${jobId}`)); }

  async list(query = '') {
    const page = await this.#http.fetchJson('GET', `/v1/jobs${query && `?${new URLSearchParams(query)}`}`);
    for (const job of page.jobs) this.#accept(job);
    return page;
  }

  result(jobId) { return this.#http.fetchJson('GET', `/v1/jobs/${jobId}/result`); }
  async log(jobId) { return (await this.#http.fetch('GET', `/v1/jobs/${jobId}/log`)).text(); }

  // ---- the connection

  async #open() {
    const attempt = (this.#timers.attempt = {});
    const current = () => this.#timers.attempt === attempt;
    clearTimeout(this.#timers.reconnect);
    clearTimeout(this.#timers.open);
    this.#timers.open = setTimeout(() => current() && this.#lost(null), this.#options.openMs);
    try {
      await this.#http.ensureToken();
      if (!current()) return;
      const url = new URL(`${this.#http.base}/ws`);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      const connection = (this.#connection = new Connection(url, {
        ...this.#options,
        onEvent: (message) => current() && this.#receive(message),
        onLost: (event) => current() && this.#lost(event),
      }));
      const {data} = await this.#authenticate(connection);
      if (!current()) return;
      this.#subscriptions.begin(connection, this.#options.pushedMax);
      clearTimeout(this.#timers.open);
      this.#signedIn(data);
      await this.#catchUp();
    } catch (error) {
      if (!current()) return;
      if (refusesToken(error)) this.#refused(error);
      else this.#lost(null);
    }
  }

  // With the highest rev seen, so that the server tells what was missed.
  async #authenticate(connection, renewed = false) {
    const rev = Math.max(0, ...[...this.#jobs.values()].map((job) => job.rev));
    for (;;) {
      try {
        return await connection.request('authenticate', rev ? {token: this.#http.token, rev} : {token: this.#http.token}, {urgent: true});
      } catch (error) {
        const refused = refusesToken(error) && !renewed && this.#options.getToken;
        renewed ||= refused;
        if (refused) await this.#http.freshToken();
        else if (error.code !== 'retry') throw error;
        else await pause(200 + Math.random() * 800);  // too many tokens are being verified: not all of us in the same moment
      }
    }
  }

  #signedIn({user_id: user, rev}) {
    if (this.#user !== null && user !== this.#user) this.#forget();
    this.#user = user;
    // The server knows less than was seen here: its state is another one than before, a copy perhaps. Nothing known here outranks it.
    if (!this.#engineAway && rev > 0 && [...this.#jobs.values()].some((job) => job.rev > rev)) {
      this.#doubted = new Set(this.#jobs.keys());
      this.#reader.forget();
    }
  }

  #forget() {
    for (const id of [...this.#jobs.keys()]) this.#gone(id, new JobcastError('not_found', 'another user is signed in'));
    this.#reader.forget();
  }

  // Signed in, but what is shown may be old: fetched anew before the status says `live`.
  async #catchUp() {
    const connection = this.#connection;
    this.#absent.clear();
    for (;;) {
      try {
        const away = await this.#askEngine();  // first: after a loss a browser's idle connections are dead, and this finds each out soonest
        if (this.#listWanted) await this.#refresh();
        await this.#subscribe();
        if (this.#connection !== connection || !connection) return;
        this.#failures = 0;
        if (!away) this.#engineHeard.mark();
        this.#setEngineAway(away);
        return this.#enter('open');
      } catch (error) {
        if (this.#connection !== connection) return;
        if (!passes(error)) return this.#lost(null);
        if (error.status === 503 || error.status === 504) this.#setEngineAway(true);
        await pause((error.status > 0 ? 500 : 100) * (1 + Math.random()));
        if (this.#connection !== connection) return;
      }
    }
  }

  #drop() {
    const connection = this.#connection;
    this.#connection = this.#timers.attempt = null;
    clearTimeout(this.#timers.open);
    clearTimeout(this.#timers.reconnect);
    this.#subscriptions.begin(null, 0);
    connection?.close();
  }

  #lost(event) {
    if (this.#phase === 'closed' || this.#phase === 'unauthorized') return;
    this.#drop();
    if (event?.code >= 4400 && event.code < 4500) {  // the server says: not with these credentials
      if (!this.#options.getToken) return this.#refused({message: event.reason});
      this.#http.token = null;
    }
    this.#failures += 1;
    if (this.#failures >= this.#options.attempts) {
      if (this.#phase !== 'polling' && this.#phase !== 'offline') this.#enter(withoutNetwork() ? 'offline' : 'polling');
      this.#timers.reconnect = setTimeout(() => this.#open(), this.#options.retryMs * (0.75 + Math.random() / 2));
      this.#poll();
      return;
    }
    this.#enter(withoutNetwork() ? 'offline' : 'connecting');
    const ceiling = Math.min(this.#options.backoffMaxMs, this.#options.backoffMs * 2 ** (this.#failures - 1));
    this.#timers.reconnect = setTimeout(() => this.#open(), Math.random() * ceiling);
  }

  #refused({message}) {
    this.#drop();
    if (this.#options.getToken) this.#http.token = null;  // whoever reconnects asks for another one
    clearTimeout(this.#timers.poll);
    this.#enter('unauthorized', message);
  }

  #receive({event, data}) {
    switch (event) {
      case 'connected': return this.#setEngineAway(data.stale);
      case 'engine': return data.stale ? this.#setEngineAway(true) : this.#engineBack();
      case 'auth_expiring': return this.#renew();
      case 'auth_error': return this.#lost({code: 4401, reason: data.message});  // it has left its rooms: what is shown ages from now on
      case 'unsubscribed':  // by the server: deleted, or not allowed any more
        this.#subscriptions.ids.delete(data.job_id);
        return this.#gone(data.job_id, new JobcastError('not_found', 'the job was deleted'));
      case 'job_update': case 'job_completed': case 'job_list_update':
        this.#engineHeard.mark();
        if (event !== 'job_list_update') this.#accept(data);
        else if (data.job) this.#accept(data.job);
        else if (this.#listWanted) this.#refresh().catch(() => this.#schedulePoll());
    }
  }

  async #renew() {
    const connection = this.#connection;
    if (!this.#options.getToken) return;
    try {
      await this.#http.freshToken();
      await this.#authenticate(connection, true);
    } catch (error) {
      // Whatever else it is, the connection lives on until the server ends it; then another token is asked for.
      if (this.#connection === connection && error.code === 'user_mismatch') this.#restart();
    }
  }

  // ---- whether what is shown is fresh

  // Four times a second. The connection asks its server by pings; whether the engine behind it answers, /health/ready says.
  #pulse() {
    this.#show();
    if (this.#phase !== 'open') return;
    const dueMs = this.#anyActive() ? this.#options.pingMs : this.#options.pollMs;
    if ((this.#engineAway || this.#engineHeard.ms >= dueMs) && this.#probed.ms >= dueMs) this.#probe();
  }

  async #probe() {
    const connection = this.#connection;
    this.#probed.mark();
    const away = await this.#askEngine().catch(() => null);
    // Without a word of the server's the connection's own deadline decides.
    if (away === null || this.#connection !== connection || this.#phase !== 'open') return;
    if (!away) this.#engineHeard.mark();
    if (away) this.#setEngineAway(true);
    else if (this.#engineAway) this.#engineBack();
  }

  #engineBack() {
    this.#enter('connecting');
    this.#setEngineAway(false);
    this.#catchUp();
  }

  // Whether the engine is away, by the server's word. Errors: no word from the server.
  #askEngine(ms = this.#options.pongMs) {
    return this.#http.fetch('GET', '/health/ready', {ms}).then(() => false, (error) => {
      if (error.status === 0) throw error;
      return error.status >= 500;  // a proxy may keep the health to itself
    });
  }

  // A tab that was hidden or frozen is seen again.
  #seen() {
    if (globalThis.document?.hidden) return;
    this.#connection?.check();
    this.#pulse();
    if (this.#phase === 'polling' || this.#phase === 'offline') this.#poll();
  }

  #setEngineAway(away) {
    if (away !== this.#engineAway) this.dispatchEvent(new CustomEvent('engine', {detail: {stale: (this.#engineAway = away)}}));
    this.#show();
  }

  #enter(phase, detail = null) {
    this.#phase = phase;
    this.#show(detail);
  }

  #show(detail = null) {
    let status = this.#phase;
    const reachable = status === 'open' || status === 'polling' || (status === 'connecting' && this.#connection?.open);
    const silentMs = Math.max(this.#connection?.fresh.ms ?? 0, this.#anyActive() ? this.#engineHeard.ms : 0);
    if (this.#engineAway && reachable) status = 'stale';
    else if (status === 'open') status = silentMs < this.#options.pingMs + this.#options.pongMs + 750 ? 'live' : 'connecting';
    if (status === this.#status) return;
    this.#status = status;
    this.dispatchEvent(new CustomEvent('status', {detail: {status, detail}}));
  }

  // ---- subscriptions

  #anyActive() { return [...this.#jobs.values()].some((job) => !isTerminal(job)); }
  #active(id) { return this.#jobs.has(id) ? !isTerminal(this.#jobs.get(id)) : !noJobId(id); }

  // Running ones first, then in the order in which the others will run.
  #wanted() {
    const ids = new Set([...this.#watchers.keys()].filter((id) => !this.#absent.has(id) && this.#active(id)));
    if (this.#listWanted) for (const [id, job] of this.#jobs) if (!isTerminal(job)) ids.add(id);
    const rank = (id) => RANK[this.#jobs.get(id)?.state] ?? 0;
    return [...ids].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  }

  #resubscribe() {
    this.#timers.subscribe ??= setTimeout(() => {
      this.#timers.subscribe = null;
      if (this.#phase === 'open') this.#subscribe();
    }, 20);
  }

  async #subscribe() {
    await this.#subscriptions.follow(this.#wanted());
    if (this.#listWanted && this.#unpushed().length) this.#schedulePoll();
  }

  // ---- polling

  #schedulePoll() {
    clearTimeout(this.#timers.poll);
    if (this.#phase === 'closed' || this.#phase === 'unauthorized') return;
    this.#timers.poll = setTimeout(() => this.#poll(), this.#unpushed().length ? Math.min(LIVE_POLL_MS, this.#options.pollMs) : this.#options.pollMs);
  }

  // Running jobs that are not pushed: beyond the subscriptions that one connection may have.
  #unpushed() {
    return this.#phase === 'open' ? [...this.#jobs.values()].filter((job) => job.state === 'running' && !this.#subscriptions.ids.has(job.job_id)) : [];
  }

  // Everything while there is no socket; what is not pushed while there is one. Unchanged answers are 304s without a body.
  async #poll() {
    clearTimeout(this.#timers.poll);
    if (this.#polling) return;
    this.#polling = true;
    try {
      if (this.#phase === 'polling' || this.#phase === 'offline') await this.#pollUnconnected();
      else if (this.#phase === 'open') await this.#pollAll();
    } catch (error) {
      if (this.#phase === 'polling' && !(error.status > 0)) this.#enter('offline');
    } finally {
      this.#polling = false;
      this.#schedulePoll();
    }
  }

  async #pollUnconnected() {
    this.#setEngineAway(await this.#askEngine(this.#options.requestMs));  // slow is not gone
    const back = (this.#phase === 'offline' || (this.#failures === this.#options.attempts && !this.#timers.attempt)) && !withoutNetwork();
    this.#enter('polling');
    if (back) {  // the last attempts had no answer at all: now a connection may be had too
      clearTimeout(this.#timers.reconnect);
      this.#timers.reconnect = setTimeout(() => this.#open(), Math.random() * this.#options.backoffMs);
    }
    await this.#pollAll();
  }

  async #pollAll() {
    if (this.#listWanted) await this.#refresh(this.#phase !== 'open' || this.#unpushed().length > 0 || this.#fetchedAll.ms > FULL_MS);
    const pushed = this.#phase === 'open' ? this.#subscriptions.ids : new Set();
    await this.#getEach([...this.#watchers.keys()].filter((id) => !pushed.has(id) && !this.#absent.has(id) && this.#active(id)));
  }

  #getEach(ids) {
    return this.#reader.jobs(ids, (id) => this.#jobs.has(id) && !this.#doubted.has(id), (job) => this.#accept(job), (id, error) => this.#gone(id, error));
  }

  // One at a time: a burst of changes asks for one or two. `full`: also what is active and stands on no first page.
  #refresh(full = true) {
    this.#again = this.#refreshing !== null;
    return (this.#refreshing ??= (async () => {
      try {
        for (let round = 0; round < 2 && (round === 0 || this.#again); ++round) {
          this.#again = false;
          await pause(50);
          await this.#fetchList(full || round > 0);
        }
      } finally {
        this.#refreshing = null;
      }
    })());
  }

  async #fetchList(full) {
    const seen = await this.#reader.list(full, (job) => this.#accept(job));
    if (!seen) return;
    this.#fetchedAll.mark();
    // What was active and is on no page any more has ended meanwhile, or was deleted.
    const own = (job) => job.owner === (this.#user ?? job.owner);
    const lost = [...this.#jobs.values()].filter((job) => !seen.has(job.job_id) && (this.#doubted.has(job.job_id) || (own(job) && !isTerminal(job))));
    await this.#getEach(lost.map((job) => job.job_id));
  }

  // By the socket where there is one; by HTTP what is too large for it, and each repetition: HTTP says what is wrong with what cannot be read.
  async #ask(event, data, http) {
    const job = await repeat(this.#options.submitMs, async (tries) =>
      this.#phase === 'open' && tries === 0 && fitsMessage(data) ? (await this.#connection.request(event, data, {urgent: true})).data.job : http());
    this.#engineHeard.mark();
    return this.#accept(job);
  }

  // ---- what is known

  #accept(job) {
    const known = this.#jobs.get(job.job_id);
    if (known && known.rev >= job.rev && !this.#doubted.has(job.job_id)) return known;
    this.#doubted.delete(job.job_id);
    this.#absent.delete(job.job_id);
    this.#jobs.set(job.job_id, job);
    if (isTerminal(job)) this.#subscriptions.ids.delete(job.job_id);
    this.dispatchEvent(new CustomEvent('job', {detail: job}));
    callEach(this.#watchers.get(job.job_id) ?? [], job);
    if (known?.state !== job.state) this.#resubscribe();
    return job;
  }

  #gone(id, error) {
    this.#jobs.delete(id);
    this.#doubted.delete(id);
    if (this.#watchers.has(id)) this.#absent.set(id, error);
    this.dispatchEvent(new CustomEvent('gone', {detail: {job_id: id}}));
    callEach(this.#watchers.get(id) ?? [], null, error);
  }
}
