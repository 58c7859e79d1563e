// One real job on every road: submitted by HTTP, ws and the command, watched by ws, SSE, long poll and conditional GET.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Demo, Socket, Stream, until, secondsOfTrials} from './support.mjs';

const QUICK = {kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d'], board: 'Ts9s2h', mode: 'exact'}};
const SECONDS = {kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d', 'QdJdTc9c'], mode: 'monte-carlo', trials: secondsOfTrials, seed: 7}};
const LONG = {kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d'], mode: 'monte-carlo', trials: 1_000_000_000, seed: 7}};

let demo;
before(async () => { demo = await Demo.start(); });
after(async () => { assert.deepEqual(await demo.stop(), {code: 0, signal: null}); });

test('jobs submitted over HTTP, over the ws and by the command all complete', async () => {
  const socket = await Socket.open(demo);
  const overHttp = await demo.submit(QUICK);
  const overWs = (await socket.request('submit_job', QUICK)).data.job;
  const byCommand = (await demo.cli('submit', 'plo-equity', '--args', JSON.stringify(QUICK.args), '--owner', demo.user)).trim();
  for (const id of [overHttp.job_id, overWs.job_id, byCommand]) {
    const job = await demo.ended(id);
    assert.equal(job.state, 'completed');
    assert.equal(job.owner, demo.user);
    assert.equal(job.result.boards, 820);  // 52 - 8 - 3 = 41 cards are left, two of them complete a board
  }
  await socket.close();
});

test('a subscriber sees rev and progress grow, and exactly one job_completed', async () => {
  const socket = await Socket.open(demo);
  const {job_id} = await demo.submit(SECONDS);
  await socket.request('subscribe_job', {job_id});
  await socket.event('job_completed', (job) => job.job_id === job_id);
  await socket.request('ping', {});
  const seen = socket.of(job_id);
  assert.equal(seen.filter((m) => m.event === 'job_completed').length, 1);
  assert.equal(seen.at(-1).event, 'job_completed');
  const progress = seen.map((m) => m.data.progress?.done).filter((done) => done != null);
  assert.ok(new Set(progress).size > 3, `progress moved: ${progress}`);
  for (let i = 1; i < seen.length; ++i) assert.ok(seen[i].data.rev > seen[i - 1].data.rev, 'rev grows');
  for (let i = 1; i < progress.length; ++i) assert.ok(progress[i] >= progress[i - 1], 'progress never falls');
  assert.equal(seen.at(-1).data.state, 'completed');
  await socket.close();
});

test('the bytes of one revision are the same on ws, SSE, GET and the list', async () => {
  const socket = await Socket.open(demo);
  const {job_id} = await demo.submit(QUICK);
  await socket.request('subscribe_job', {job_id});
  await demo.ended(job_id);
  const text = await (await demo.http(`/v1/jobs/${job_id}`)).text();
  const rev = JSON.parse(text).rev;
  await socket.event('job_completed', (job) => job.job_id === job_id);
  const frame = socket.raw.find((raw) => raw.includes('"job_completed"') && raw.includes(job_id));
  assert.ok(frame.includes(text), 'the ws frame carries the bytes of the GET');
  const stream = await Stream.open(demo, `/v1/jobs/${job_id}/events`);
  const event = await stream.event('job_completed');
  assert.equal(event.data, text);
  assert.equal(event.id, String(rev));
  assert.ok((await (await demo.http('/v1/jobs')).text()).includes(text), 'the list carries them too');
  assert.ok((await demo.cli('show', job_id, '--json')).includes(text), 'and the command');
  await stream.close();
  await socket.close();
});

test('GET with the last ETag answers 304, and 200 once something changed', async () => {
  const {job_id} = await demo.submit(QUICK);
  await demo.ended(job_id);
  const first = await demo.http(`/v1/jobs/${job_id}`);
  const etag = first.headers.get('ETag');
  assert.equal(etag, `"${(await first.json()).rev}"`);
  const again = await demo.http(`/v1/jobs/${job_id}`, {headers: {'If-None-Match': etag}});
  assert.equal(again.status, 304);
  assert.equal(again.headers.get('ETag'), etag);
  assert.equal((await demo.http(`/v1/jobs/${job_id}`, {headers: {'If-None-Match': '"1"'}})).status, 200);
});

test('a long poll returns with the change, not with a timer', async () => {
  const {job_id} = await demo.submit(LONG);
  await until('it runs', async () => (await (await demo.http(`/v1/jobs/${job_id}`)).json()).state === 'running');
  let etag = (await demo.http(`/v1/jobs/${job_id}`)).headers.get('ETag');
  const seen = [];
  for (let i = 0; i < 5; ++i) {
    const from = performance.now();
    const answer = await demo.http(`/v1/jobs/${job_id}`, {headers: {'If-None-Match': etag, Prefer: 'wait=30'}});
    assert.equal(answer.status, 200);
    seen.push(performance.now() - from);
    assert.notEqual(answer.headers.get('ETag'), etag);
    etag = answer.headers.get('ETag');
  }
  assert.ok(Math.max(...seen) < 10_000, `each within the change, far below the 30 s asked for: ${seen}`);
  await demo.http(`/v1/jobs/${job_id}/cancel`, {method: 'POST'});
  const job = await demo.ended(job_id);
  assert.equal(job.state, 'cancelled');
  assert.equal(job.reason, 'user');
  const waited = await demo.http(`/v1/jobs/${job_id}`, {headers: {'If-None-Match': `"${job.rev}"`, Prefer: 'wait=1'}});
  assert.equal(waited.status, 304);
});

test('SSE resumes from Last-Event-ID: nothing that was seen, everything newer', async () => {
  const {job_id} = await demo.submit(LONG);
  const first = await Stream.open(demo, `/v1/jobs/${job_id}/events`);
  const event = await first.event('job_update', (job) => job.state === 'running');
  await first.close();
  const second = await Stream.open(demo, `/v1/jobs/${job_id}/events`, {headers: {'Last-Event-ID': event.id}});
  await demo.http(`/v1/jobs/${job_id}/cancel`, {method: 'POST'});
  await second.event('job_completed');
  assert.ok(second.events.every((e) => Number(e.id) > Number(event.id)));
  await second.close();
});

test('the cancel of a running job is acknowledged on the connection that asked', async () => {
  const socket = await Socket.open(demo);
  const {job_id} = await demo.submit(LONG);
  await socket.request('subscribe_job', {job_id});
  await socket.event('job_update', (job) => job.job_id === job_id && job.state === 'running');
  const answer = await socket.request('cancel_job', {job_id});
  assert.notEqual(answer.event, 'error');
  const end = await socket.event('job_completed', (job) => job.job_id === job_id);
  assert.equal(end.data.state, 'cancelled');
  assert.ok(socket.of(job_id).some((m) => m.data.cancel?.requested_at));
  await socket.close();
});

test('the Idempotency-Key answers the job that it made', async () => {
  const headers = {'Idempotency-Key': 'order-66'};
  const first = await demo.http('/v1/jobs', {method: 'POST', json: QUICK, headers});
  const second = await demo.http('/v1/jobs', {method: 'POST', json: QUICK, headers});
  assert.equal(first.status, 201);
  assert.equal(second.status, 200);
  assert.equal((await first.json()).job_id, (await second.json()).job_id);
  const other = await demo.http('/v1/jobs', {method: 'POST', json: SECONDS, headers});
  assert.equal(other.status, 400);
});

test('bad input names the field and the remedy, over HTTP and over the ws', async () => {
  const response = await demo.http('/v1/jobs', {method: 'POST', json: {kind: 'no-such-kind'}});
  assert.equal(response.status, 400);
  assert.match(response.headers.get('Content-Type'), /^application\/problem\+json/);
  const problem = await response.json();
  assert.equal(problem.field, 'kind');
  const socket = await Socket.open(demo);
  const answer = await socket.request('submit_job', {kind: 'no-such-kind'});
  assert.equal(answer.event, 'error');
  assert.equal(answer.data.code, 'invalid');
  assert.equal(answer.data.field, 'kind');
  await socket.close();
  const bad = await demo.submit({kind: 'plo-equity', args: {hands: ['AsAhKsKh', 'As7d6c5d']}});
  const job = await demo.ended(bad.job_id);
  assert.equal(job.state, 'failed');
  assert.equal(job.reason, 'exit');
  assert.match(job.error, /As/);
});

test('no request ends the connection between host and engine: deep bodies, parameters twice', async () => {
  const lost = () => demo.stderr.split('engine_lost').length;
  const before = lost();
  for (const query of ['limit=1&limit=2', 'state=running&state=queued', 'kind=a&kind=b', 'cursor=a&cursor=b', 'owner=a&owner=a'])
    assert.equal((await demo.http(`/v1/jobs?${query}`, {token: demo.admin_token})).status, 400, query);
  for (let depth = 20; depth <= 34; ++depth) {
    const deep = '['.repeat(depth) + ']'.repeat(depth);
    for (const member of ['args', 'meta']) {
      const body = `{"kind":"plo-equity","${member}":{"a":${deep}}}`;
      const answer = await demo.http('/v1/jobs', {method: 'POST', body, headers: {'Content-Type': 'application/json'}});
      assert.equal(answer.status, depth < 24 ? 201 : 400, body);
    }
  }
  assert.equal((await demo.http('/v1/jobs?limit=200')).status, 200);
  await demo.cli('list', '--json');
  assert.equal(lost(), before, demo.stderr);
});

test("another's job looks like an absent one on every transport", async () => {
  const {job_id} = await demo.submit(QUICK);
  await demo.ended(job_id);
  const absent = '0192f0c1-0000-7000-8000-000000000000';
  const token = await demo.tokenFor('mallory');
  const clean = (text) => text.replaceAll(job_id, 'ID').replaceAll(absent, 'ID');
  for (const [method, path] of [['GET', ''], ['GET', '/log'], ['GET', '/result'], ['GET', '/events'], ['POST', '/cancel'], ['POST', '/retry']]) {
    const [theirs, none] = await Promise.all([job_id, absent].map((id) => demo.http(`/v1/jobs/${id}${path}`, {method, token})));
    assert.equal(theirs.status, 404, `${method} ${path}`);
    assert.equal(none.status, 404);
    assert.equal(clean(await theirs.text()), clean(await none.text()));
    const names = (r) => [...r.headers.keys()].sort().join();
    assert.equal(names(theirs), names(none));
  }
  const socket = await Socket.open(demo, token);
  for (const event of ['subscribe_job', 'cancel_job']) {
    const [theirs, none] = [await socket.request(event, {job_id}), await socket.request(event, {job_id: absent})];
    assert.equal(theirs.event, 'error');
    assert.deepEqual(JSON.parse(clean(JSON.stringify({...theirs, id: 0}))), JSON.parse(clean(JSON.stringify({...none, id: 0}))));
  }
  assert.ok(!(await (await demo.http('/v1/jobs', {token})).text()).includes(job_id));
  await socket.close();
  const admin = await demo.http(`/v1/jobs/${job_id}`, {token: demo.admin_token});
  assert.equal(admin.status, 200);
});

test('the list, the log and the result are there', async () => {
  const {job_id} = await demo.submit(QUICK);
  await demo.ended(job_id);
  const page = await (await demo.http('/v1/jobs?limit=1')).json();
  assert.equal(page.jobs.length, 1);
  assert.equal(page.jobs[0].job_id, job_id);
  const next = await (await demo.http(`/v1/jobs?limit=1&cursor=${page.next_cursor}`)).json();
  assert.notEqual(next.jobs[0].job_id, job_id);
  const result = await (await demo.http(`/v1/jobs/${job_id}/result`)).json();
  assert.equal(result.hands.length, 2);
  assert.equal((await demo.http(`/v1/jobs/${job_id}/log`)).status, 200);
  assert.equal((await demo.http('/v1/queues')).status, 200);
  assert.equal((await demo.http('/health/live', {token: null})).status, 200);
  assert.equal((await demo.http('/health/ready', {token: null})).status, 200);
  assert.match(await (await demo.http('/metrics', {token: null})).text(), /# EOF\n$/);
});
