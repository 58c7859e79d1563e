// What the client's parts share: its options, the order of jobs, its error, time, keys.

export const DEFAULTS = {
  url: '/jobcast',            // the mount, absolute or relative to the page
  token: null,                // a JWT, or:
  getToken: null,             // () => token or its promise; asked again when a token ends or is refused
  attempts: 5,                // connection attempts before polling begins
  backoffMs: 500,             // the first attempt's ceiling; doubles, with full jitter
  backoffMaxMs: 15000,
  retryMs: 30000,             // while polling, a new attempt about so often
  pollMs: 5000,               // conditional GETs: of everything while polling, of what is not pushed while live
  requestMs: 10000,           // an unanswered request fails after it
  submitMs: 60000,            // an unanswered submit is repeated, with the same key, for so long
  openMs: 5000,               // a connection that is not signed in by then is given up
  pingMs: 1500,               // so often the server is asked whether it is there
  pongMs: 2000,               // and is lost if it says nothing for so long
  pushedMax: 200,             // jobs subscribed at once, running ones first; the others are polled
};

/** Of a state in lists and in subscriptions: what runs, what waits. What is over has none. */
export const RANK = {running: 0, retrying: 1, queued: 1, scheduled: 1};

/** Whether a job is over: completed, failed or cancelled. */
export const isTerminal = (job) => !(job.state in RANK);

/** The order of a list: what runs, then what waits, then what is over; the newest first in each. */
export const compareJobs = (a, b) => (RANK[a.state] ?? 2) - (RANK[b.state] ?? 2) || (a.job_id < b.job_id ? 1 : -1);

/** An answer of the server's that says no: `code` is the protocol's word for it, `field` the input at fault, `status` HTTP's or 0. */
export class JobcastError extends Error {
  constructor(code, message, {field = null, status = 0, retryAfterMs = 0} = {}) {
    super(message);
    this.name = 'JobcastError';
    this.code = code;
    this.field = field;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The time since something, by the clock that says more: one stands still while the machine sleeps, the other can be set back. */
export class Since {
  constructor() { this.mark(); }
  mark() { [this.mono, this.wall] = [performance.now(), Date.now()]; }
  get ms() { return Math.max(performance.now() - this.mono, Date.now() - this.wall); }
}

/** A promise for later. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** The promise, or `unanswered` once the time is over. */
export const within = (ms, promise, what) => Promise.race([promise, pause(ms).then(() => { throw new JobcastError('unanswered', `${what} took more than ${ms} ms`); })]);
/** The browser says that there is no network. */
export const withoutNetwork = () => globalThis.navigator?.onLine === false;
/** 128 random bits. Not crypto.randomUUID(): on plain HTTP only localhost has that. */
export const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
/** No answer, or one that says "not now": the same request may succeed later. */
export const passes = (error) => ['closed', 'unanswered', 'retry', 'full', 'rate_limited'].includes(error.code) || [408, 429, 502, 503, 504].includes(error.status);
/** Why there can be no such job, or null: the server is not asked for what is no id. */
export const noJobId = (id) => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? null : new JobcastError('not_found', 'there is no such job: a job_id is a UUID'));
/** Far below the message that a server ends its connection for (96 KiB, unless its operator says otherwise). */
export const fitsMessage = (data) => JSON.stringify(data).length < 8192;
/** The token is at fault, another one may do better. Not `clock_not_set`: the same token may do later. */
export const refusesToken = (error) => ['token_invalid', 'token_expired', 'token_not_yet_valid', 'token_revoked'].includes(error.code);
/** Acts again, later and later, while nothing says whether it was carried out, for so long; where it was refused for want of room, for ten seconds. */
export async function repeat(forMs, act) {
  const began = new Since();
  for (let tries = 0;; ++tries) {
    try {
      return await act(tries);
    } catch (error) {
      const leftMs = (error.code === 'full' ? Math.min(10000, forMs) : forMs) - began.ms;
      if (['closed', 'unanswered'].includes(error.code) && leftMs <= 0) error.message += '; it may have been carried out all the same';
      if (!passes(error) || leftMs <= 0) throw error;
      await pause(Math.min(leftMs, Math.max(error.retryAfterMs, Math.min(3000, 250 * 2 ** tries)) * (1 + Math.random() / 2)));
    }
  }
}
/** Calls all of them; one that throws keeps the others from nothing. */
export const callEach = (callbacks, ...words) => {
  for (const callback of [...callbacks]) {
    try {
      callback(...words);
    } catch (error) {
      setTimeout(() => { throw error; });
    }
  }
};
