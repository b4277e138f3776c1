import { createClient, type Client } from 'graphql-ws';
import { newTrace } from '../text/trace';

const KEEP_ALIVE_MS = 10_000;
const PONG_WAIT_MS = 5_000;
const ACK_WAIT_MS = 5_000;
// Between one subscription's end and the next one's start the socket stays.
const LAZY_CLOSE_MS = 3_000;
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 5_000;

export interface SocketEvents {
  connected(): void;
  closed(): void;
}

/**
 * A graphql-transport-ws client that never gives up, and that notices a connection over which nothing comes any more:
 * a ping every 10 s must be answered within 5 s, otherwise the socket is thrown away and a new one is made.
 */
export function openSocket(url: string, events: SocketEvents): Client {
  let pongTimer: ReturnType<typeof setTimeout> | undefined;
  const client = createClient({
    url,
    lazy: true,
    lazyCloseTimeout: LAZY_CLOSE_MS,
    keepAlive: KEEP_ALIVE_MS,
    connectionAckWaitTimeout: ACK_WAIT_MS,
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: (retries) => retryPause(retryDelay(retries)),
    connectionParams: () => ({ traceparent: newTrace().traceparent }),
    on: {
      connected: () => events.connected(),
      closed: () => {
        clearTimeout(pongTimer);
        events.closed();
      },
      ping: (received) => {
        if (received) return;
        clearTimeout(pongTimer);
        pongTimer = setTimeout(() => client.terminate(), PONG_WAIT_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(pongTimer);
      },
    },
  });
  return client;
}

/** 250 ms doubled with each try up to 5 s, then scattered over its upper half: a herd of clients spreads out. */
export function retryDelay(retries: number, random: () => number = Math.random): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(retries, 16));
  return ceiling * (0.5 + random() / 2);
}

/** Waits, but no longer than until the browser says that the network is back. */
function retryPause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener('online', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener('online', done);
  });
}
