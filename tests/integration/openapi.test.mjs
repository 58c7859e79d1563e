// docs/openapi.yaml against the running server: every path, method and status that it names is provoked and compared, headers and schemas
// included, and every route of the plugin's table must be in it.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {request} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {after, before, test} from 'node:test';
import Ajv from 'ajv/dist/2020.js';
import {parse} from 'yaml';
import {bin, Demo, until} from './support.mjs';

const source = process.env.JOBCAST_SOURCE ?? new URL('../..', import.meta.url).pathname;
const api = parse(await readFile(join(source, 'docs/openapi.yaml'), 'utf8'));
const ARGS = {hands: ['AsAhKsKh', '8c7d6c5d'], board: 'Ts9s2h', mode: 'exact'};
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

// ---- the document

const deref = (node) => (node?.$ref ? node.$ref.slice(2).split('/').reduce((at, key) => at[key], api) : node);

// Where the document names an object's members, the server gives no others: they would be undocumented.
function strict(node) {
  if (Array.isArray(node)) return node.map(strict);
  if (node === null || typeof node !== 'object') return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, key === 'const' || key === 'enum' ? value : strict(value)]));
  if (node.type === 'object' && node.properties && !('additionalProperties' in node)) copy.additionalProperties = false;
  return copy;
}

const ajv = new Ajv({strict: true, strictTypes: false});
ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const inAjv = (schema) => JSON.parse(JSON.stringify(strict(schema)).replaceAll('"#/components/schemas/', '"api#/$defs/'));
ajv.addSchema({$id: 'api', $defs: inAjv(api.components.schemas)});

function check(schema, value, where) {
  const validate = ajv.compile(inAjv(schema));
  assert.ok(validate(value), `${where}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)?.slice(0, 2000)}`);
}

const documented = Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method]).flatMap((method) =>
  Object.keys(item[method].responses).filter((status) => status !== 'default').map((status) => ({path, method, status: Number(status)}))));

// ---- the servers: demo's own; one with narrow limits on the same engine; one without a key

let demo, narrow, slow, unconfigured, stopped = false;
const held = [], children = [], dirs = [];

async function host(options) {
  const dir = await mkdtemp(join(tmpdir(), 'jobcast-test-'));
  dirs.push(dir);
  const json = async (name) => JSON.parse((await readFile(join(demo.dir, 'host', name), 'utf8')).replace(/^\s*#.*$/gm, ''));
  const vhosts = await json('conf.d/jobcast');
  vhosts.vhosts[0].port = '0';
  const own = vhosts.vhosts[0]['ws-protocols'][0].jobcast;
  vhosts.vhosts[0]['ws-protocols'][0].jobcast = options ? {...own, ...options} : {engine: own.engine};
  await mkdir(join(dir, 'conf.d'));
  await writeFile(join(dir, 'conf'), JSON.stringify(await json('conf')));
  await writeFile(join(dir, 'conf.d/jobcast'), JSON.stringify(vhosts));
  const child = spawn(join(bin, 'jobcast-host'), ['-c', dir, '--json'], {stdio: ['ignore', 'pipe', 'ignore']});
  children.push(child);
  const [line] = await once(createInterface({input: child.stdout}), 'line');
  return `http://127.0.0.1:${JSON.parse(line).port}/jobcast`;
}

// One exchange. `body`: a string; `announce`: a Content-Length that is not kept to. A stream is read up to its first event.
function ask(base, method, path, {headers = {}, body, announce, token = demo.token} = {}) {
  const all = {...(token ? {authorization: `Bearer ${token}`} : {}), ...headers};
  if (announce ?? body !== undefined) all['content-length'] = announce ?? Buffer.byteLength(body);
  return new Promise((resolve, reject) => {
    const sent = request(base + path, {method, headers: all, agent: false});
    sent.on('error', reject);
    sent.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({status: response.statusCode, headers: response.headers, body: ''});
    });
    sent.on('response', (response) => {
      let text = '';
      const done = () => resolve({status: response.statusCode, headers: response.headers, body: text, end: () => sent.destroy()});
      if (response.headers['content-type'] === 'text/event-stream') {
        response.on('error', () => {});
        if (path.startsWith('/v1/events')) return done();
      }
      response.on('data', (chunk) => {
        text += chunk;
        if (response.headers['content-type'] === 'text/event-stream' && text.includes('\n\n')) done();
      });
      response.on('end', done);
    });
    if (announce === undefined) sent.end(body);
    else sent.flushHeaders();
  });
}

// ---- how each answer is had

const fill = (path, id = randomUUID()) => path.replace('{id}', id);
const json = (value) => ({headers: {'content-type': 'application/json'}, body: JSON.stringify(value)});
const upgrade = (headers = {}) => ({headers: {connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
                                              'sec-websocket-protocol': 'jobcast.v1', ...headers}});
const plain = (path, method) => (path === '/ws' ? upgrade() : path === '/v1/jobs' && method === 'POST' ? json({kind: 'plo-equity', args: ARGS}) : {});
const query = (path) => (deref(api.paths[path].get.parameters).map(deref).filter((p) => p.in === 'query' && p.example !== undefined)
  .map((p) => `${p.name}=${[p.example].flat().join(',')}`).join('&'));

const jobs = {};
async function finished() {
  return (jobs.finished ??= await demo.submit({kind: 'plo-equity', args: ARGS}).then(({job_id}) => demo.ended(job_id)));
}
async function scheduled() {
  return demo.submit({kind: 'plo-equity', args: ARGS, run_at_ms: Date.now() + 3_600_000});
}
async function onceSubmitted(key) {
  const options = json({kind: 'plo-equity', args: ARGS});
  options.headers['idempotency-key'] = key;
  return ask(demo.base, 'POST', '/v1/jobs', options);
}
// The engine answers nobody, and its one place for a call that waits is taken, as are the one stream and the one ticket.
async function saturated() {
  if (held.length) return;
  held.push(await ask(narrow, 'GET', '/v1/events'));
  assert.equal((await ask(narrow, 'POST', '/v1/tickets')).status, 201);
  process.kill(demo.pids.engine, 'SIGSTOP');
  const base = new URL(narrow);
  const waiting = request({host: base.hostname, port: base.port, path: '/jobcast/v1/queues', headers: {authorization: `Bearer ${demo.token}`}, agent: false});
  waiting.on('error', () => {});
  waiting.end();
  held.push({end: () => waiting.destroy()});
  await until('a call waits for the engine', async () => /^jobcast_engine_calls_waiting 1$/m.test((await ask(narrow, 'GET', '/metrics', {token: null})).body));
}
async function stopDemo() {
  for (const one of held.splice(0)) one.end();
  if (stopped) return;
  stopped = true;
  process.kill(demo.pids.engine, 'SIGCONT');
  await demo.stop();
}
async function engineGone() {
  await stopDemo();
  await until('the host knows', async () => (await ask(narrow, 'GET', '/health/ready', {token: null})).status === 503);
}

// By "METHOD path status", or by status where the same thing works everywhere.
const PROVOKE = {
  'get /v1/jobs 200': () => ask(demo.base, 'GET', `/v1/jobs?${query('/v1/jobs')}`),
  'get /v1/jobs 304': async () => ask(demo.base, 'GET', '/v1/jobs?state=failed', {headers: {'if-none-match': (await ask(demo.base, 'GET', '/v1/jobs?state=failed')).headers.etag}}),
  'get /v1/jobs 400': () => ask(demo.base, 'GET', '/v1/jobs?colour=red'),
  'get /v1/jobs 403': () => ask(demo.base, 'GET', '/v1/jobs?owner=somebody'),
  'post /v1/jobs 200': async () => (await onceSubmitted('one'), onceSubmitted('one')),
  'post /v1/jobs 400': () => ask(demo.base, 'POST', '/v1/jobs', json({kind: 'plo-equity', colour: 'red'})),
  'post /v1/jobs 415': () => ask(demo.base, 'POST', '/v1/jobs', {headers: {'content-type': 'text/plain'}, body: '{}'}),
  'get /v1/jobs/{id} 304': async () => {
    const {job_id, rev} = await finished();
    return ask(demo.base, 'GET', `/v1/jobs/${job_id}`, {headers: {'if-none-match': `"${rev}"`, prefer: 'wait=1'}});
  },
  'get /v1/jobs/{id} 429': async () => {  // the place for a held answer is taken
    const {job_id, rev} = await finished();
    return ask(narrow, 'GET', `/v1/jobs/${job_id}`, {headers: {'if-none-match': `"${rev}"`, prefer: 'wait=1'}});
  },
  'post /v1/tickets 429': async () => ask(narrow, 'POST', '/v1/tickets', {token: await demo.tokenFor('another')}),
  'post /v1/jobs/{id}/retry 200': async () => {
    const {job_id} = await scheduled();
    await ask(demo.base, 'POST', `/v1/jobs/${job_id}/cancel`);
    const answer = await ask(demo.base, 'POST', `/v1/jobs/${job_id}/retry`);
    await demo.ended(job_id);
    return answer;
  },
  'post /v1/jobs/{id}/retry 400': async () => ask(demo.base, 'POST', `/v1/jobs/${(await finished()).job_id}/retry`),
  'get /v1/jobs/{id}/log 200': async () => ask(demo.base, 'GET', `/v1/jobs/${(await finished()).job_id}/log?${query('/v1/jobs/{id}/log')}`),
  'get /v1/jobs/{id}/log 400': async () => ask(demo.base, 'GET', `/v1/jobs/${(await finished()).job_id}/log?limit=0`),
  'get /ws 400': () => ask(demo.base, 'GET', '/ws', upgrade({'sec-websocket-key': 'short'})),
  'get /ws 401': () => ask(demo.base, 'GET', '/ws', {...upgrade(), token: 'no.such.token'}),
  'get /ws 403': () => ask(demo.base, 'GET', '/ws', upgrade({origin: 'https://elsewhere.example'})),
  'get /ws 426': () => ask(demo.base, 'GET', '/ws'),
  101: (path) => ask(demo.base, 'GET', path, upgrade()),
  200: async (path, method) => ask(demo.base, method, fill(path, (path.endsWith('/cancel') ? await scheduled() : await finished()).job_id)),
  201: (path, method) => ask(demo.base, method, path, plain(path, method)),
  401: (path, method) => ask(demo.base, method, fill(path), {...plain(path, method), token: null}),
  403: async (path, method) => ask(demo.base, method, fill(path), {...plain(path, method), token: await demo.tokenFor('reader', 'jobs:read:any')}),
  404: (path, method) => ask(demo.base, method, fill(path)),
  408: (path, method) => ask(narrow, method, fill(path), {...plain(path, method), body: undefined, announce: 10}),
  411: (path, method) => ask(demo.base, method, fill(path), {headers: {'transfer-encoding': 'chunked'}, body: 'x'}),
  413: (path, method) => ask(demo.base, method, fill(path), {announce: 1_000_000}),
  429: (path, method) => ask(narrow, method, fill(path), plain(path, method)),
  // Each as a user of their own: one user has few calls underway.
  504: async (path, method) => ask(slow, method, fill(path), {...plain(path, method), token: await demo.tokenFor(`${method}-${path.replace(/\W/g, '-')}`)}),
  503: (path, method) => ask(['/metrics', '/ws', '/v1/events', '/v1/tickets'].includes(path) ? unconfigured : narrow, method, fill(path), plain(path, method)),
};
const phase = ({status}) => (status === 429 || status === 504 ? 1 : status === 503 ? 2 : 0);
const GENERAL = ['content-type', 'content-length', 'connection', 'cache-control', 'allow', 'x-accel-buffering', 'retry-after', 'upgrade', 'sec-websocket-accept', 'transfer-encoding'];

function compare(answer, response, where) {
  const headers = response.headers ?? {};
  for (const [name, node] of Object.entries(headers)) {
    const {required, schema} = deref(node);
    const value = answer.headers[name.toLowerCase()];
    if (required) assert.ok(value !== undefined, `${where}: no ${name}`);
    if (value === undefined) continue;
    const type = deref(schema).type;
    check(schema, type === 'integer' ? Number(value) : type === 'boolean' ? value === 'true' : value, `${where}: ${name}`);
  }
  const known = [...GENERAL, ...Object.keys(headers).map((name) => name.toLowerCase())];
  assert.deepEqual(Object.keys(answer.headers).filter((name) => !known.includes(name)), [], `${where}: headers that are not documented`);
  const [type] = (answer.headers['content-type'] ?? '').split(';');
  if (!response.content) {
    assert.equal(answer.body, '', where);
    return assert.equal(type, '', where);
  }
  assert.ok(response.content[type], `${where}: ${type} is not documented`);
  check(response.content[type].schema, type.endsWith('json') ? JSON.parse(answer.body) : answer.body, where);
  if (type === 'application/problem+json') assert.equal(JSON.parse(answer.body).status, answer.status, where);
  if (type === 'text/event-stream' && answer.body) check({$ref: '#/components/schemas/Job'}, JSON.parse(answer.body.match(/^data: (.*)$/m)[1]), where);
}

before(async () => {
  demo = await Demo.start();
  narrow = await host({'engine-calls-max': '1', 'engine-timeout': '300000', 'streams-max': '1', 'tickets-max': '1', 'sessions-per-user': '1', 'body-time': '1'});
  slow = await host({'engine-timeout': '300'});
  unconfigured = await host(null);
  for (const base of [narrow, slow]) await until('the host is attached', async () => (await ask(base, 'GET', '/health/ready', {token: null})).status === 200);
});
after(async () => {
  await stopDemo();
  for (const child of children) child.kill();
  await Promise.all(children.map((child) => child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null));
  for (const dir of dirs) await rm(dir, {recursive: true, force: true});
});

test('every route that is served is documented, and no other', async () => {
  const table = await readFile(join(source, 'lws-plugin/router.cpp'), 'utf8');
  const served = [...table.matchAll(/\{Route::\w+, "([^"]+)", (true|false), (true|false)\}/g)]
    .flatMap(([, path, get, post]) => [get === 'true' && `get ${path}`, post === 'true' && `post ${path}`]).filter(Boolean);
  assert.ok(served.length > 10);
  assert.deepEqual(served.sort(), Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter((m) => item[m]).map((m) => `${m} ${path}`)).sort());
});

test('what is provoked is documented', () => {
  const names = documented.map(({method, path, status}) => `${method} ${path} ${status}`);
  for (const name of Object.keys(PROVOKE)) if (name.includes(' ')) assert.ok(names.includes(name), name);
});

test('HEAD is served where GET is, OPTIONS allows what is documented, and other methods are refused', async () => {
  for (const [path, item] of Object.entries(api.paths)) {
    const allowed = [...(item.get ? ['GET', 'HEAD'] : []), ...(item.post ? ['POST'] : []), 'OPTIONS'].join(', ');
    const options = await ask(demo.base, 'OPTIONS', fill(path), {token: null});
    assert.equal(options.status, 204, path);
    assert.equal(options.headers.allow, allowed, path);
    const refused = await ask(demo.base, 'DELETE', fill(path));
    assert.equal(refused.status, 405, path);
    assert.equal(refused.headers.allow, allowed, path);
    check({$ref: '#/components/schemas/Problem'}, JSON.parse(refused.body), path);
    if (!item.get) continue;
    const at = fill(path, (await finished()).job_id);
    const head = await ask(demo.base, 'HEAD', at);
    assert.equal(head.body, '', path);
    assert.equal(head.status, path === '/ws' ? 426 : 200, path);
  }
});

test('each way to say who asks is taken', async () => {
  const ticket = JSON.parse((await ask(demo.base, 'POST', '/v1/tickets')).body).ticket;
  const {cookie} = api.components.securitySchemes;
  assert.equal((await ask(demo.base, 'GET', '/v1/queues', {token: null, headers: {cookie: `${cookie.name}=${demo.token}`}})).status, 200);
  assert.equal((await ask(demo.base, 'GET', `/v1/queues?ticket=${ticket}`, {token: null})).status, 200);
  assert.equal((await ask(demo.base, 'GET', `/v1/queues?ticket=${ticket}`, {token: null})).status, 401, 'once');
});

test('the log comes as an object where JSON is asked for', async () => {
  const answer = await ask(demo.base, 'GET', `/v1/jobs/${(await finished()).job_id}/log`, {headers: {accept: 'application/json'}});
  compare(answer, api.paths['/v1/jobs/{id}/log'].get.responses[200], 'log');
});

for (const {path, method, status} of documented.sort((a, b) => phase(a) - phase(b)))
  test(`${method.toUpperCase()} ${path} answers ${status} as documented`, async () => {
    const name = `${method} ${path} ${status}`;
    const provoke = PROVOKE[name] ?? PROVOKE[status];
    assert.ok(provoke, `nothing here provokes ${name}`);
    if (phase({status}) === 1) await saturated();
    if (phase({status}) === 2) await engineGone();
    const answer = await provoke(path, method.toUpperCase());
    assert.equal(answer.status, status, answer.body);
    compare(answer, deref(api.paths[path][method].responses[status]), name);
    answer.end?.();
  });

test('while the engine is away the last snapshot is served, and says that it is stale', async () => {
  const {job_id, rev} = await finished();
  await engineGone();
  for (const [headers, status] of [[{}, 200], [{'if-none-match': `"${rev}"`}, 304]]) {
    const answer = await ask(narrow, 'GET', `/v1/jobs/${job_id}`, {headers});
    assert.equal(answer.status, status);
    assert.equal(answer.headers['jobcast-stale'], '1');
    compare(answer, api.paths['/v1/jobs/{id}'].get.responses[status], `stale ${status}`);
  }
});
