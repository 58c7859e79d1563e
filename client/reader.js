// Conditional GETs of jobs and lists: what did not change costs a 304 without a body.

const PAGE = 200;  // jobs of one page, the most that the server gives
const FIRST = 'limit=50';

export class Reader {
  #http;
  #etags = new Map();  // job_id → ETag of what was read last
  #pages = new Map();  // query → {etag, ids, next}: a page as it was read last

  constructor(http) { this.#http = http; }

  /** Whatever is asked for next comes in full. */
  forget() {
    this.#etags.clear();
    this.#pages.clear();
  }

  /** The job, or null if it is what was read last and `known` still. Errors: those of Http.fetch(). */
  async job(id, known) {
    const etag = known && this.#etags.get(id);
    const response = await this.#http.fetch('GET', `/v1/jobs/${encodeURIComponent(id)}`, etag ? {headers: {'If-None-Match': etag}} : {});
    if (response.status === 304) return null;
    const job = await this.#http.json(response);
    this.#etags.set(id, response.headers.get('ETag'));
    return job;
  }

  /** Each of these jobs, four at a time: `use(job)` what is new, `gone(id, error)` where there is none. What one of them is refused keeps no
      other waiting. Errors: no answer from the server. */
  async jobs(ids, known, use, gone) {
    const left = [...ids];
    const some = async () => {
      for (let id; (id = left.shift()) !== undefined;) {
        try {
          const job = await this.job(id, known(id));
          if (job) use(job);
        } catch (error) {
          if (error.status === 404) gone(id, error);
          else if (!(error.status > 0)) throw error;
        }
      }
    };
    await Promise.all([some(), some(), some(), some()]);
  }

  /** Uses the newest jobs and, if `full`, all that are active, on however many pages. The ids of all active ones, or null if it did not look. */
  async list(full, use) {
    const pages = new Map();
    const first = await this.#page(FIRST, pages, use);
    if (first && !full) {
      this.#pages.set(FIRST, pages.get(FIRST));
      return null;
    }
    for (const states of first ? ['running', 'retrying,queued,scheduled'] : [])
      for (let next = ''; next !== null;) next = await this.#page(`state=${states}&limit=${PAGE}${next && `&cursor=${encodeURIComponent(next)}`}`, pages, use);
    this.#pages = pages;
    return new Set([...pages.values()].flatMap((page) => page.ids));
  }

  async #page(query, pages, use) {
    let page = this.#pages.get(query);
    const response = await this.#http.fetch('GET', `/v1/jobs?${query}`, page?.etag ? {headers: {'If-None-Match': page.etag}} : {});
    if (response.status !== 304) {
      const {jobs, next_cursor: next} = await this.#http.json(response);
      for (const job of jobs) use(job);
      page = {etag: response.headers.get('ETag'), ids: jobs.map((job) => job.job_id), next};
    }
    pages.set(query, page);
    return page.next;
  }
}
