// Which jobs the present connection is subscribed to. Jobs are told apart by what the client knows of them; it hands that in as functions.

import {Since, pause} from './basics.js';

export class Subscriptions {
  ids = new Set();      // asked for
  #connection = null;
  #most = 0;
  #client;

  // `client`: revOf(id), isActive(id), isFirst(id): to be waited for; onJob(job), onAbsent(id, error), onAgain(): ask anew.
  constructor(client) { this.#client = client; }

  begin(connection, most) {
    this.ids.clear();
    this.#connection = connection;
    this.#most = most;
  }

  /** To the first of these and to no others. Done when those that come first are answered, and as new as the answer says. */
  async follow(ids) {
    const wanted = new Set(ids.slice(0, this.#most));
    for (const id of [...this.ids].filter((each) => !wanted.has(each))) {
      this.ids.delete(id);
      if (this.#client.isActive(id)) this.#connection.request('unsubscribe_job', {job_id: id}).catch(() => {});
    }
    const fresh = [...wanted].filter((id) => !this.ids.has(id)).map((id) => [id, this.#ask(id)]);
    await Promise.all(fresh.map(([id, done]) => (this.#client.isFirst(id) ? done : null)));
  }

  async #ask(id) {
    const connection = this.#connection;
    this.ids.add(id);
    const rev = this.#client.revOf(id);
    try {
      const {data} = await connection.request('subscribe_job', rev ? {job_id: id, rev} : {job_id: id});
      if (data.job) this.#client.onJob(data.job);  // the connection had brought it before
      // The answer comes before the snapshot: until that is here too, what is known may be as old as the list that named the job.
      for (const since = new Since(); this.#connection === connection && this.ids.has(id) && this.#client.revOf(id) < data.rev && since.ms < 5000;) await pause(10);
    } catch (error) {
      if (this.#connection !== connection) return;
      this.ids.delete(id);
      if (['not_found', 'invalid'].includes(error.code)) this.#client.onAbsent(id, error);
      else if (error.code === 'full') this.#most = Math.max(1, this.ids.size);
      else setTimeout(this.#client.onAgain, 1000);
    }
  }
}
