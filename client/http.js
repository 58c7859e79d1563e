// Requests over HTTP, each with a deadline that holds for its body too, and the token that they and the socket sign in with.

import {JobcastError, within} from './basics.js';

// What fetch() or a body failed with: no word of the server's, or words that are no JSON.
const noAnswer = (error) => error instanceof SyntaxError ? new JobcastError('internal', 'the answer is no JSON: is this the address of a jobcast server?')
  : new JobcastError(error.name === 'TimeoutError' ? 'unanswered' : 'closed', `no answer from the server: ${error.message}`);

export class Http {
  base;   // the mount's address
  token;
  #options;
  #onRefused;
  #renewing = null;

  // `onRefused(error)`: the token is refused, and there is no way to another one.
  constructor(options, onRefused) {
    this.base = new URL(options.url.replace(/\/$/, ''), globalThis.document?.baseURI ?? globalThis.location?.href).href;
    this.#options = options;
    this.#onRefused = onRefused;
    this.token = options.token;
  }

  /** Errors: those of getToken(). */
  async ensureToken() {
    if (!this.token && this.#options.getToken) await this.freshToken();
  }

  /** One at a time, whoever asks. */
  freshToken() {
    return (this.#renewing ??= (async () => {
      try {
        this.token = await within(this.#options.requestMs, this.#options.getToken(), 'getToken()');
      } finally {
        this.#renewing = null;
      }
    })());
  }

  /** The answer, if it is good or 304. Errors: JobcastError, of status 0 where the server gave no answer. */
  async fetch(method, path, {body, headers = {}, ms = this.#options.requestMs} = {}, renewed = false) {
    await this.ensureToken();
    const token = this.token;
    const response = await fetch(this.base + path, {
      method,
      headers: {
        ...(token ? {Authorization: `Bearer ${token}`} : {}),
        ...(body === undefined ? {} : {'Content-Type': 'application/json'}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',  // the ETags are kept here
      signal: AbortSignal.timeout(ms),  // of the body too
    }).catch((error) => { throw noAnswer(error); });
    if (response.ok || response.status === 304) return response;
    const problem = await response.json().catch(() => ({}));
    if (response.status === 401 && this.#options.getToken && !renewed) {
      if (token === this.token) await this.freshToken();
      return this.fetch(method, path, {body, headers, ms}, true);
    }
    const error = new JobcastError(problem.code ?? 'internal', problem.detail ?? problem.title ?? `HTTP ${response.status}`,
                           {field: problem.field ?? null, status: response.status, retryAfterMs: Number(response.headers.get('Retry-After')) * 1000 || 0});
    if (response.status === 401 && error.code !== 'clock_not_set' && token === this.token) this.#onRefused(error);
    throw error;
  }

  json(response) { return response.json().catch((error) => { throw noAnswer(error); }); }
  async fetchJson(method, path, options) { return this.json(await this.fetch(method, path, options)); }
}
