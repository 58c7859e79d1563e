// <job-status-panel url="/jobcast">: the jobs of one user with live progress, cancel, retry, and the connection's state.
//
//   <script type="module" src="job-status-panel.js"></script>
//   <job-status-panel id="jobs"></job-status-panel>
//   jobs.client = new Jobcast({token});      // or: jobs.token = '…' with the url attribute
//
// Properties: client, token, jobIds (only these; otherwise the user's whole list), renderResult (job => Node or string or null).
// Events: `job-selected` {job}. Themed by CSS variables (--jobcast-accent, …), light and dark by the page's color-scheme.
// It follows its client while it is in the document, and comes back as it was when it is put there again.

import {Jobcast, compareJobs, isTerminal} from './jobcast.js';

const STYLE = `
:host { display: block; font: 15px/1.45 system-ui, sans-serif; color: var(--jobcast-ink, light-dark(#1b1f24, #e8eaed));
  --ok: light-dark(#1a7f4b, #4cc38a); --bad: light-dark(#b3261e, #ff8f85); --quiet: light-dark(#5b6470, #9aa4b0);
  --accent: var(--jobcast-accent, light-dark(#2457d6, #8ab0ff)); --line: light-dark(#dfe3e8, #343a42); --card: light-dark(#fff, #1d2126); --warn: light-dark(#8a5a00, #f2b84b); }
header { display: flex; gap: .75rem; align-items: center; margin: 0 0 .75rem; min-height: 2rem; }
h2 { font-size: 1.05rem; margin: 0; flex: 1; }
.badge { display: inline-flex; gap: .45rem; align-items: center; padding: .15rem .65rem; border: 1px solid var(--line); border-radius: 99px; font-size: .85rem; }
.badge::before { content: ""; width: .6rem; height: .6rem; border-radius: 50%; background: var(--quiet); }
.badge[data-status=live]::before { background: var(--ok); }
.badge[data-status=polling]::before, .badge[data-status=connecting]::before, .badge[data-status=stale]::before { background: var(--warn); }
.badge[data-status=offline]::before, .badge[data-status=unauthorized]::before { background: var(--bad); }
ul { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: minmax(0, 1fr); gap: .6rem; }
li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem .9rem; }
.top { display: flex; gap: .6rem; align-items: baseline; }
.kind { font-weight: 600; min-width: 0; overflow-wrap: anywhere; } .id { color: var(--quiet); font: .8rem ui-monospace, monospace; flex: 1 1 4rem; min-width: 2rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.state { flex: none; font-size: .85rem; font-weight: 600; color: var(--accent); } .state[data-state=completed] { color: var(--ok); } .state[data-state=failed] { color: var(--bad); }
.state[data-state=cancelled], .state[data-state=queued], .state[data-state=scheduled] { color: var(--quiet); } .state[data-state=retrying] { color: var(--warn); }
.bar { height: .5rem; border-radius: 99px; background: var(--line); overflow: hidden; margin: .5rem 0 .35rem; }
.bar i { display: block; height: 100%; width: 0; border-radius: inherit; background: var(--accent); transition: width .15s linear; }
li[data-state=completed] .bar i { background: var(--ok); } li[data-state=failed] .bar i { background: var(--bad); } li[data-state=cancelled] .bar i { background: var(--quiet); }
.bar[data-unknown] i { width: 30%; animation: slide 1.4s ease-in-out infinite; }
@keyframes slide { from { margin-left: -30%; } to { margin-left: 100%; } }
@media (prefers-reduced-motion: reduce) { .bar i { transition: none; } .bar[data-unknown] i { animation: none; } }
.facts { display: flex; gap: 1rem; color: var(--quiet); font-size: .85rem; font-variant-numeric: tabular-nums; align-items: center; }
.facts > span { flex: 1; min-width: 0; overflow-wrap: anywhere; } .facts button { flex: none; } .error { color: var(--bad); font-size: .9rem; margin: .3rem 0 0; overflow-wrap: anywhere; } .result { margin: .5rem 0 0; overflow-x: auto; }
button { font: inherit; font-size: .85rem; padding: .15rem .7rem; border-radius: 7px; border: 1px solid var(--line); background: none; color: inherit; cursor: pointer; }
button:hover { border-color: var(--accent); } button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; } button:disabled { opacity: .5; cursor: default; }
.empty, .stale { color: var(--quiet); } .stale { margin: 0 0 .6rem; color: var(--warn); } [hidden] { display: none !important; }
@media (forced-colors: active) { .bar { border: 1px solid CanvasText; } .bar i, .badge::before { forced-color-adjust: none; background: CanvasText; }
  li[data-state=running] .bar i, .badge[data-status=live]::before { background: Highlight; } }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
`;

// Constructed, because a policy of style-src 'self' forbids a <style>.
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);

const BADGES = {closed: 'Not connected', connecting: 'Connecting…', live: 'Live', stale: 'Engine away', polling: 'Polling', offline: 'Offline', unauthorized: 'Signed out'};
const WAITING = {queue_full: 'waiting for its turn', owner_limit: 'your limit is reached', paused: 'queue is paused', run_at: 'scheduled for later',
                 no_resources: 'waiting for the machine to have room', dependency: 'waiting for another job', backoff: 'waiting to try again'};

/** 33 → "33 ms", 9500 → "10 s", 125000 → "2 min 5 s". */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

const compact = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 1});

// What a row says beside its bar, from the snapshot alone.
function facts(job) {
  const p = job.progress ?? {};
  const out = [];
  if (job.waiting) out.push((WAITING[job.waiting.why] ?? job.waiting.why) + (job.waiting.position ? `, place ${job.waiting.position}` : ''));
  if (job.cancel && !isTerminal(job)) out.push(job.cancel.acknowledged_at ? 'stopping' : 'cancel requested');
  if (p.percent != null && !isTerminal(job)) out.push(`${p.percent.toFixed(1)} %`);
  if (p.phase && !isTerminal(job)) out.push(p.phase);
  if (p.rate != null && !isTerminal(job)) out.push(`${compact.format(p.rate)}/s`);
  if (p.eta_ms != null && !isTerminal(job)) out.push(`${duration(p.eta_ms)} left`);
  if (p.message && !isTerminal(job)) out.push(p.message);
  if (job.started_at && job.finished_at) out.push(`took ${duration(Date.parse(job.finished_at) - Date.parse(job.started_at))}`);
  if (job.attempt > 1) out.push(`attempt ${job.attempt} of ${job.max_attempts}`);
  if (job.reason && job.state !== 'completed') out.push(`reason: ${job.reason.replaceAll('_', ' ')}`);
  return out;
}

// meta is the submitter's: whatever else a title is, only a text is shown.
const title = (job) => (typeof job.meta?.title === 'string' && job.meta.title.trim() ? job.meta.title : job.kind);

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

export class JobStatusPanel extends HTMLElement {
  static observedAttributes = ['url', 'heading'];
  #client = null;
  #owned = false;         // made here, and closed while the panel is not in the document
  #attached = null;       // AbortController of what listens to the client
  #stops = [];
  #jobIds = null;
  #rows = new Map();      // job_id → {li, …parts}
  #parts = {};
  #waiting = new Map();   // job_id → the job that the next frame draws
  #frame = 0;

  renderResult = null;

  constructor() {
    super();
    const root = this.attachShadow({mode: 'open'});
    root.adoptedStyleSheets = [sheet];
    const header = element('header');
    const heading = element('h2', '', 'Jobs');
    const badge = element('span', 'badge', BADGES.closed);
    badge.setAttribute('role', 'status');
    const reconnect = element('button', 'reconnect', 'Reconnect');
    reconnect.hidden = true;
    reconnect.onclick = () => this.#client?.reconnect();
    header.append(heading, badge, reconnect);
    const stale = element('p', 'stale', 'The job engine is away. What you see is its last word; it will catch up by itself.');
    stale.hidden = true;
    const list = element('ul');
    const empty = element('p', 'empty', 'No jobs yet.');
    const news = element('div', 'visually-hidden');
    news.setAttribute('aria-live', 'polite');
    root.append(header, stale, list, empty, news);
    this.#parts = {heading, badge, reconnect, stale, list, empty, news};
  }

  connectedCallback() {
    if (!this.#client && this.hasAttribute('url')) this.#adopt(new Jobcast({url: this.getAttribute('url')}), true);
    else this.#attach();
  }

  // Moved within the document it is connected again before the microtask runs: then nothing happens.
  disconnectedCallback() { queueMicrotask(() => this.isConnected || this.#detach()); }

  attributeChangedCallback(name, before, value) {
    if (name === 'heading') this.#parts.heading.textContent = value ?? 'Jobs';
    else if (before !== null && before !== value && this.#owned && value !== null) this.#adopt(new Jobcast({url: value, token: this.#client.token}), true);
  }

  get client() { return this.#client; }
  set client(client) { this.#adopt(client, false); }

  get jobIds() { return this.#jobIds; }
  set jobIds(ids) {
    this.#jobIds = ids;
    this.#adopt(this.#client, this.#owned);
  }

  set token(token) {
    if (!this.#client) this.#adopt(new Jobcast({url: this.getAttribute('url') ?? '/jobcast', token}), true);
    else this.#client.setToken(token);
  }

  #adopt(client, owned) {
    this.#detach(client);
    this.#rows.forEach(({li}) => li.remove());
    this.#rows.clear();
    this.#parts.empty.hidden = false;
    this.#client = client;
    this.#owned = owned;
    this.#attach();
  }

  #attach() {
    const client = this.#client;
    if (!client || this.#attached || !this.isConnected) return;
    this.#attached = new AbortController();
    const {signal} = this.#attached;
    client.addEventListener('status', ({detail}) => this.#showStatus(detail.status), {signal});
    if (this.#jobIds) {
      this.#stops = this.#jobIds.map((id) => client.watch(id, (job, error) => (job ? this.#later(job) : this.#drawAbsent(id, error))));
    } else {
      client.addEventListener('job', ({detail}) => this.#later(detail), {signal});
      client.addEventListener('gone', ({detail}) => this.#remove(detail.job_id), {signal});
      client.watchList();
      for (const job of client.jobs) this.#later(job);
    }
    this.#showStatus(client.status);
    client.connect();
  }

  // `next`: the client that follows; the same one is not closed.
  #detach(next = null) {
    this.#attached?.abort();
    this.#attached = null;
    for (const stop of this.#stops.splice(0)) stop();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#waiting.clear();
    if (this.#owned && this.#client !== next) this.#client.close();
  }

  #showStatus(status) {
    const {badge, reconnect, stale} = this.#parts;
    if (status === 'live') this.#drawWaiting();  // not a frame after the badge has said it
    badge.dataset.status = status;
    badge.textContent = BADGES[status];
    reconnect.hidden = !['connecting', 'polling', 'offline'].includes(status);
    stale.hidden = status !== 'stale';
  }

  // At most one drawing a frame, however fast the updates come.
  #later(job) {
    this.#waiting.set(job.job_id, job);
    this.#frame ||= requestAnimationFrame(() => this.#drawWaiting());
  }

  #drawWaiting() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const jobs = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const each of jobs) this.#draw(each);
  }

  #row(job) {
    let row = this.#rows.get(job.job_id);
    if (row?.job) return row;
    this.#remove(job.job_id);  // what said that there is none
    const li = element('li');
    const top = element('div', 'top');
    const state = element('span', 'state');
    const id = element('span', 'id', job.job_id);
    id.title = job.job_id;
    const name = element('bdi', 'kind', title(job));
    top.append(name, id, state);
    const bar = element('div', 'bar');
    bar.setAttribute('role', 'progressbar');
    bar.setAttribute('aria-label', `${title(job)} progress`);
    bar.setAttribute('aria-valuemin', '0');
    bar.setAttribute('aria-valuemax', '100');
    bar.append(element('i'));
    const line = element('div', 'facts');
    const text = element('span');
    const cancel = element('button', 'cancel', 'Cancel');
    const retry = element('button', 'retry', 'Run again');
    cancel.onclick = () => this.#act(cancel, row, () => this.#client.cancel(job.job_id));
    retry.onclick = () => this.#act(retry, row, () => this.#client.retry(job.job_id));
    line.append(text, cancel, retry);
    const error = element('p', 'error');
    error.dir = 'auto';
    const result = element('div', 'result');
    li.append(top, bar, line, error, result);
    li.onclick = () => this.dispatchEvent(new CustomEvent('job-selected', {detail: {job: row.job}}));
    row = {li, state, bar, text, cancel, retry, error, result, job: null, said: '', problem: ''};
    this.#rows.set(job.job_id, row);
    this.#parts.empty.hidden = true;
    return row;
  }

  // Where the order of lists has it. A button in it that has the focus keeps it.
  #place(row) {
    const next = [...this.#parts.list.children].find((li) => li !== row.li && (!this.#rows.get(li.dataset.jobId)?.job || compareJobs(row.job, this.#rows.get(li.dataset.jobId).job) < 0)) ?? null;
    if (row.li.parentNode && row.li.nextSibling === next) return;
    const focused = this.shadowRoot.activeElement;
    this.#parts.list.insertBefore(row.li, next);
    if (focused && row.li.contains(focused)) focused.focus();
  }

  #remove(id) {
    this.#waiting.delete(id);
    this.#rows.get(id)?.li.remove();
    this.#rows.delete(id);
    this.#parts.empty.hidden = this.#rows.size > 0;
  }

  #drawAbsent(id, error) {
    this.#remove(id);
    const li = element('li');
    li.dataset.jobId = id;
    const top = element('div', 'top');
    top.append(element('span', 'id', id));
    li.append(top, element('p', 'error', error?.message ?? 'no such job'));
    this.#rows.set(id, {li, job: null});
    this.#parts.list.append(li);
    this.#parts.empty.hidden = true;
  }

  async #act(button, row, action) {
    button.disabled = true;
    row.problem = '';
    try {
      await action();
    } catch (error) {
      row.problem = error.message;
    } finally {
      button.disabled = false;
      this.#later(row.job);
    }
  }

  #draw(job) {
    const row = this.#row(job);
    const before = row.job;
    row.job = job;
    row.li.dataset.state = job.state;
    row.li.dataset.jobId = job.job_id;
    if (before?.state !== job.state) this.#place(row);
    row.state.dataset.state = job.state;
    row.state.textContent = job.state;
    const percent = job.state === 'completed' ? 100 : job.progress?.percent ?? null;
    row.bar.toggleAttribute('data-unknown', percent === null && job.state === 'running');
    row.bar.firstChild.style.width = percent === null ? '' : `${percent}%`;
    if (percent === null) row.bar.removeAttribute('aria-valuenow');
    else row.bar.setAttribute('aria-valuenow', percent.toFixed(0));
    // Each by itself, so that one that is written from right to left does not turn the others around.
    const said = facts(job);
    if (row.said !== said.join('\n')) row.text.replaceChildren(...said.flatMap((fact, i) => (i ? [' · ', element('bdi', '', fact)] : [element('bdi', '', fact)])));
    row.said = said.join('\n');
    row.cancel.hidden = isTerminal(job);
    row.cancel.disabled = job.cancel !== null && job.cancel !== undefined;
    row.retry.hidden = job.state !== 'failed' && job.state !== 'cancelled';
    row.error.textContent = row.problem || (job.error ?? '');
    row.error.hidden = row.error.textContent === '';
    if (isTerminal(job) && (!before || !isTerminal(before))) {
      if (before) this.#parts.news.textContent = `${title(job)} ${job.state}`;
      const shown = job.state === 'completed' ? this.renderResult?.(job) : null;
      row.result.replaceChildren(...(shown ? [shown] : []));
    } else if (!isTerminal(job)) {
      row.result.replaceChildren();
    }
  }
}

if (!customElements.get('job-status-panel')) customElements.define('job-status-panel', JobStatusPanel);
