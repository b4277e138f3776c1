// A TCP proxy between browser and server that can cut, freeze and mend: the only honest way to lose a connection.
import { createServer, connect } from 'node:net';

/** @param {URL} target @param {number} port 0 picks a free one */
export async function startProxy(target, port = 0) {
  /** @type {Set<{ browser: import('node:net').Socket, server: import('node:net').Socket }>} */
  const pairs = new Set();
  /** @type {'open' | 'cut' | 'frozen'} */
  let state = 'open';

  const listener = createServer((browser) => {
    if (state === 'cut') return void browser.resetAndDestroy();
    const server = connect({ host: target.hostname, port: Number(target.port || 80) });
    const pair = { browser, server };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      browser.destroy();
      server.destroy();
    };
    for (const socket of [browser, server]) socket.setNoDelay(true).on('error', end).on('close', end);
    browser.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => browser.write(bytes));
    if (state === 'frozen') hold(pair);
  });
  await new Promise((resolve, reject) => listener.once('error', reject).listen(port, '127.0.0.1', () => resolve(undefined)));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');

  return {
    url: new URL(`http://127.0.0.1:${address.port}`),
    /** Every connection breaks, and no new one is made. */
    cut() {
      state = 'cut';
      for (const { browser, server } of pairs) {
        browser.resetAndDestroy();
        server.resetAndDestroy();
      }
    },
    /** Every connection stays open, but nothing passes any more: half-open, as behind a dead router. */
    freeze() {
      state = 'frozen';
      for (const pair of pairs) hold(pair);
    },
    mend() {
      state = 'open';
      for (const { browser, server } of pairs) {
        browser.resume();
        server.resume();
      }
    },
    async close() {
      this.cut();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function hold({ browser, server }) {
  browser.pause();
  server.pause();
}
