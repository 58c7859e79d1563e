// kill -9 of the engine, of the host, of both, while jobs run and clients watch.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Demo, Socket, Stream, until, secondsOfTrials} from './support.mjs';

const LONG = {kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d'], mode: 'monte-carlo', trials: 1_000_000_000, seed: 7}, max_attempts: 1};
const SECONDS = {kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d', 'QdJdTc9c'], mode: 'monte-carlo', trials: secondsOfTrials, seed: 7}};

let demo;
before(async () => { demo = await Demo.start(); });
after(async () => { assert.deepEqual(await demo.stop(), {code: 0, signal: null}); });

async function newPid(part, old) {
  return until(`a new ${part}`, async () => (await demo.pidsOf(part)).find((pid) => pid !== old));
}

test('the engine dies: clients stay, see the state as stale, and hear every job end after its restart', async () => {
  const socket = await Socket.open(demo);
  const jobs = await Promise.all([1, 2, 3].map(() => demo.submit(LONG)));
  for (const {job_id} of jobs) await socket.request('subscribe_job', {job_id});
  const running = await until('one runs', () => socket.messages.find((m) => m.event === 'job_update' && m.data.state === 'running'));
  const stream = await Stream.open(demo, `/v1/jobs/${running.data.job_id}/events`);
  const [engine] = await demo.pidsOf('jobcastd');
  process.kill(engine, 'SIGKILL');
  await socket.event('engine', (data) => data.stale === true);
  const stale = await demo.http(`/v1/jobs/${running.data.job_id}`);
  assert.equal(stale.status, 200, 'the last snapshot is still served');
  await newPid('jobcastd', engine);
  await socket.event('engine', (data) => data.stale === false);
  const end = await socket.event('job_completed', (job) => job.job_id === running.data.job_id);
  assert.equal(end.data.state, 'failed');
  assert.equal(end.data.reason, 'worker_lost');
  await stream.event('job_completed');
  for (const {job_id} of jobs) {
    if (job_id === running.data.job_id) continue;
    await demo.http(`/v1/jobs/${job_id}/cancel`, {method: 'POST'});
    await socket.event('job_completed', (job) => job.job_id === job_id);
  }
  await socket.request('ping', {});
  for (const {job_id} of jobs) {
    const seen = socket.of(job_id);
    assert.equal(seen.filter((m) => m.event === 'job_completed').length, 1);
    for (let i = 1; i < seen.length; ++i) assert.ok(seen[i].data.rev > seen[i - 1].data.rev, 'rev grows across the restart');
  }
  await stream.close();
  await socket.close();
  assert.match(demo.stderr, /jobcastd/);
});

test('no process of a killed engine is left running', async () => {
  const {job_id} = await demo.submit(LONG);
  await until('it runs', async () => (await (await demo.http(`/v1/jobs/${job_id}`)).json()).state === 'running');
  const [engine] = await demo.pidsOf('jobcastd');
  process.kill(engine, 'SIGKILL');
  await newPid('jobcastd', engine);
  assert.equal((await demo.ended(job_id)).reason, 'worker_lost');
  const stats = JSON.parse(await demo.cli('stats', '--json'));
  assert.equal(stats.jobs.running, 0);
});

test('the host dies: jobs run on, clients come back and are told what they missed', async () => {
  const socket = await Socket.open(demo);
  const {job_id} = await demo.submit(SECONDS);
  await socket.request('subscribe_job', {job_id});
  const last = await socket.event('job_update', (job) => job.job_id === job_id && job.state === 'running');
  const [host] = await demo.pidsOf('jobcast-host');
  process.kill(host, 'SIGKILL');
  await socket.closed;
  await newPid('jobcast-host', host);
  const again = await until('a connection to the new host', () => Socket.open(demo).catch(() => null));
  await again.request('subscribe_job', {job_id, rev: last.data.rev});
  const end = await again.event('job_completed', (job) => job.job_id === job_id);
  assert.equal(end.data.state, 'completed');
  assert.ok(again.of(job_id).every((m) => m.data.rev > last.data.rev));
  await again.close();
});

test('finished jobs and their results outlive a restart of everything', async () => {
  const {job_id} = await demo.submit(SECONDS);
  const before = await demo.ended(job_id);
  for (const part of ['jobcast-host', 'jobcastd']) {
    const [pid] = await demo.pidsOf(part);
    process.kill(pid, 'SIGKILL');
    await newPid(part, pid);
  }
  const after = await until('it is served again', async () => {
    const response = await demo.http(`/v1/jobs/${job_id}`).catch(() => null);
    return response?.ok && response.json();
  });
  assert.deepEqual(after.result, before.result);
  assert.equal(after.state, 'completed');
});
