// What the machine pays while nothing happens: memory and processor time of engine and host, with a client attached and jobs done.
import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import {test} from 'node:test';
import {Demo, Socket} from './support.mjs';

const sanitized = Boolean(process.env.JOBCAST_SANITIZED);

async function usage(pid) {
  const stat = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1].split(' ');
  const rss = Number((await readFile(`/proc/${pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)[1]);
  return {ticks: Number(stat[11]) + Number(stat[12]), rss};
}

test('idle, engine and host stay under 20 MB and under half a percent of a processor', {skip: sanitized && 'sanitizers multiply memory'}, async () => {
  const demo = await Demo.start();
  const socket = await Socket.open(demo);
  const {job_id} = await demo.submit({kind: 'plo-equity', args: {hands: ['AsAhKsKh', '8c7d6c5d']}});
  await demo.ended(job_id);
  const pids = [...await demo.pidsOf('jobcastd'), ...await demo.pidsOf('jobcast-host')];
  assert.equal(pids.length, 2);
  const seconds = 20;
  const before = await Promise.all(pids.map(usage));
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = await Promise.all(pids.map(usage));
  const rss = after.reduce((sum, {rss: kib}) => sum + kib, 0);
  const ticks = after.reduce((sum, {ticks: t}, i) => sum + t - before[i].ticks, 0);
  const percent = ticks / seconds;  // 100 ticks a second
  console.log(`# idle: ${(rss / 1024).toFixed(1)} MiB RSS, ${percent.toFixed(2)} % CPU`);
  assert.ok(rss * 1024 < 20e6, `${rss} KiB`);
  assert.ok(percent < 0.5, `${percent} %`);
  await socket.close();
  await demo.stop();
});
