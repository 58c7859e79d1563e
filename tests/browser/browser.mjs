// What the browser's tests share: Chromium, a page on a demo, and the job that says when it spoke.
import {writeFile} from 'node:fs/promises';
import {createServer, connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromium} from 'playwright-core';
import {Demo, bin} from '../integration/support.mjs';

export const launch = (...args) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...args],
});

export const badge = (page, status, timeout = 20000) => page.locator(`job-status-panel .badge[data-status=${status}]`).waitFor({timeout});
export const statusOf = (page) => page.locator('job-status-panel .badge').getAttribute('data-status');

/** A demo with the kind `clock`: {"ms": for so long} it says every 50 ms what time it is, in its message. */
export async function startDemo(...options) {
  const kinds = join(tmpdir(), `jobcast-kinds-${process.pid}.json`);
  await writeFile(kinds, JSON.stringify({clock: {argv: [join(bin, '../tests/clock')], max_attempts: 25, retry_initial_ms: 100, retry_max_ms: 200, grace_ms: 500}}));
  return Demo.start('--kinds', kinds, ...options);
}

/** The address of the demo's page, signed in, at another origin or path. */
export const address = (demo, origin = demo.url.split('/#')[0]) => `${origin}/#token=${demo.token}`;

/** A network between browser and host that can lose everything, without a word, and be mended. */
export class Wire {
  #sockets = new Set();
  #dead = false;

  static async to(port) {
    const wire = new Wire();
    wire.server = createServer((near) => wire.#join(near, port)).listen(0, '127.0.0.1');
    await new Promise((resolve) => wire.server.once('listening', resolve));
    wire.port = wire.server.address().port;
    return wire;
  }

  #join(near, port) {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from);
      from.on('data', (bytes) => {
        near.lost = far.lost ||= this.#dead;
        if (!far.lost) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        if (!this.#dead && !far.lost) to.destroy();
      });
    }
  }

  /** Nothing gets through and nobody is told; what was under way is lost for good. */
  lose() {
    this.#dead = true;
    for (const socket of this.#sockets) socket.lost = true;
  }
  mend() { this.#dead = false; }
  /** Every connection is reset. */
  cut() { for (const socket of this.#sockets) socket.resetAndDestroy(); }
  close() {
    this.cut();
    this.server.close();
  }
}
