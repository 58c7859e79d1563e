// One WebSocket to the server, from its opening to its loss. A socket whose other side has stopped, or whose network is gone, says nothing
// about it: everything here has a deadline of its own, and whoever owns the connection is told of the loss exactly once.

import {JobcastError, Since} from './basics.js';

// The server takes 50 messages a second and 100 at once, and lets 16 requests wait for the engine: below that nothing is refused.
const WINDOW = 12;
const BURST = 80;
const PER_SECOND = 40;
const TICK_MS = 250;

export class Connection {
  fresh = new Since();    // what the server had to say up to then has arrived: when the newest ping that it answered was sent
  #socket;
  #options;
  #waiting = new Map();   // id → {resolve, reject, timer}: sent, and not answered yet
  #queues = [[], []];     // requests that the window holds back: those that somebody waits for, and the others
  #nextId = 1;
  #budget = BURST;
  #pinged = null;         // a ping is under way since
  #tick;

  // `options`: pingMs (the server is asked so often), pongMs (how long it may take to answer), requestMs; onEvent(message) for what answers
  // no request, onLost(closeEvent or null).
  constructor(url, options) {
    this.#options = options;
    this.#socket = new WebSocket(url, 'jobcast.v1');
    this.#socket.onopen = () => {
      this.fresh.mark();
      this.#flush();
    };
    this.#socket.onmessage = ({data}) => this.#receive(data);
    this.#socket.onclose = (event) => this.#end(event);
    this.#tick = setInterval(() => this.check(), TICK_MS);
  }

  get open() { return this.#socket?.readyState === WebSocket.OPEN; }

  /** The answer, {event, data}. Errors: what the server refuses; `closed` (lost before the answer), `unanswered` (none in time). */
  request(event, data, {urgent = false} = {}) {
    return new Promise((resolve, reject) => {
      if (!this.#socket) return reject(new JobcastError('closed', 'the connection is lost'));
      this.#queues[urgent ? 0 : 1].push({event, data, resolve, reject});
      this.#flush();
    });
  }

  send(event, data) { if (this.open) this.#socket.send(JSON.stringify({event, data})); }

  close() { this.#end(null, true); }

  /** Looks at the deadlines now: for a page that was frozen and is seen again. */
  check() {
    this.#budget = Math.min(BURST, this.#budget + PER_SECOND * TICK_MS / 1000);
    if (!this.open) return;  // whoever opened it has a deadline for that
    if (this.#pinged?.ms >= this.#options.pongMs) return this.#end(null);
    if (!this.#pinged && this.fresh.ms >= this.#options.pingMs) {
      this.#pinged = new Since();
      this.send('ping', {});
    }
    this.#flush();
  }

  #flush() {
    while (this.open && this.#waiting.size < WINDOW && this.#budget >= 1) {
      const next = this.#queues[0].shift() ?? this.#queues[1].shift();
      if (!next) return;
      const {event, data, resolve, reject} = next;
      const id = String(this.#nextId++);
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new JobcastError('unanswered', `no answer to ${event} within ${this.#options.requestMs} ms`));
        this.#flush();
      }, this.#options.requestMs);
      this.#waiting.set(id, {resolve, reject, timer});
      this.#budget -= 1;
      this.#socket.send(JSON.stringify({event, data, id}));
    }
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#end(null);  // no server of ours
    }
    if (message.event === 'pong' && this.#pinged) {  // whatever was sent before it has arrived: other messages may have been under way for long
      this.fresh = this.#pinged;
      this.#pinged = null;
    }
    const request = this.#waiting.get(message.id);
    if (!request && message.event === 'error' && message.data.request === null) return this.#unread(message.data);
    if (!request) return this.#options.onEvent(message);
    this.#waiting.delete(message.id);
    clearTimeout(request.timer);
    const {event, data} = message;
    if (event === 'error' || event === 'auth_error') request.reject(new JobcastError(data.code, data.message, {field: data.field}));
    else request.resolve(message);
    this.#flush();
  }

  // One of the requests could not be read, and so its id neither (too deep, a NUL in it): each may be it.
  #unread({code, message}) {
    for (const {reject, timer} of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new JobcastError(code === 'invalid' ? 'retry' : code, message));
    }
    this.#waiting.clear();
    this.#flush();
  }

  #end(event, wanted = false) {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = socket.onmessage = socket.onclose = null;
    clearInterval(this.#tick);
    socket.close();
    for (const {reject, timer} of [...this.#waiting.values(), ...this.#queues.flatMap((queue) => queue.splice(0))]) {
      clearTimeout(timer);
      reject(new JobcastError('closed', 'the connection was lost before the answer came'));
    }
    this.#waiting.clear();
    if (!wanted) this.#options.onLost(event);
  }
}
