// The demo page: a form that submits plo-equity jobs and a <job-status-panel> that watches them.
// What is secret of the token arrives in the fragment, which no browser sends to a server; it is kept for this tab and taken out of the
// address. `jobcast demo` puts the signature alone there (#SIGNATURE, docs/decisions/0017); a whole token may come as #token=TOKEN.

import {Jobcast} from './jobcast.js';
import './job-status-panel.js';

const KEPT = 'jobcast-token';

// Errors: the rest of the token cannot be had.
async function tokenOf(fragment) {
  if (fragment.startsWith('token=')) return fragment.slice('token='.length);
  const response = await fetch('demo/token.txt', {cache: 'no-store', signal: AbortSignal.timeout(10000)});
  if (!response.ok) throw new Error(`the server has no demo/token.txt (HTTP ${response.status})`);
  return `${(await response.text()).trim()}.${fragment}`;
}

const fragment = location.hash.slice(1);
const form = document.getElementById('submit');
const problem = document.getElementById('problem');
const panel = document.getElementById('panel');

function complain(message) {
  problem.hidden = !message;
  problem.textContent = message;
}

function equityTable(job) {
  const result = job.result;
  if (job.kind !== 'plo-equity' || !result?.hands) return null;
  const table = document.createElement('table');
  table.className = 'equity';
  table.createCaption().textContent = `${result.boards.toLocaleString('en')} boards`;
  const head = table.createTHead().insertRow();
  for (const title of ['Hand', 'Equity', 'Wins', 'Ties']) head.append(Object.assign(document.createElement('th'), {textContent: title, scope: 'col'}));
  const body = table.createTBody();
  for (const hand of result.hands) {
    const row = body.insertRow();
    for (const text of [hand.hand, `${(hand.equity * 100).toFixed(2)} %`, hand.win.toLocaleString('en'), hand.tie.toLocaleString('en')]) row.insertCell().textContent = text;
  }
  // The panel's own style cannot see this page's: carry what the table needs.
  const box = document.createElement('div');
  box.append(Object.assign(document.createElement('link'), {rel: 'stylesheet', href: new URL('page.css', import.meta.url).href}), table);
  return box;
}

if (fragment) {
  history.replaceState(null, '', location.pathname + location.search);
  await tokenOf(fragment).then((token) => sessionStorage.setItem(KEPT, token), (error) => complain(`Not signed in: ${error.message}.`));
}
const token = sessionStorage.getItem(KEPT);
// Relative to the page, so that both may live below a path of their own.
const client = new Jobcast({url: 'jobcast', token});
panel.renderResult = equityTable;
if (token) panel.client = client;
else if (!fragment) complain('No token: open this page with the address that “jobcast demo” printed.');
client.addEventListener('status', ({detail}) => detail.status === 'unauthorized' && complain(`Signed out: ${detail.detail ?? 'the token was refused'}. Open the page with a fresh address.`));

form.mode.onchange = () => (form.trials.disabled = form.mode.value === 'exact');
form.onsubmit = async (event) => {
  event.preventDefault();
  complain('');
  const args = {hands: form.hands.value.split(/\s+/).filter(Boolean), board: form.board.value.replace(/\s+/g, ''), dead: form.dead.value.replace(/\s+/g, ''), mode: form.mode.value};
  if (args.mode === 'monte-carlo') Object.assign(args, {trials: Number(form.trials.value), seed: Math.floor(Math.random() * 2 ** 31)});
  const button = form.querySelector('button');
  button.disabled = true;
  try {
    await client.submit({kind: 'plo-equity', args, meta: {title: args.hands.join(' · ').slice(0, 80)}});
  } catch (error) {
    complain(error.message);
  } finally {
    button.disabled = false;
  }
};
