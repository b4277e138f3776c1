import type { ApolloClient } from '@apollo/client';
import { createContext } from 'svelte';
import { createApollo } from './apollo/client';
import { Newest } from './links/newest';
import { openSocket } from './links/socket';
import { Router } from './router.svelte';
import { Changes } from './state/changes';
import { Connection } from './state/connection.svelte';
import { appliedPosition, System } from './state/system.svelte';
import { Theme } from './state/theme.svelte';

/** What every page shares. */
export interface App {
  client: ApolloClient;
  router: Router;
  connection: Connection;
  system: System;
  changes: Changes;
  theme: Theme;
  /** Counts the stores seen: a page keyed by it begins anew when the server's store was re-created. */
  readonly epoch: number;
}

export const [useApp, provideApp] = createContext<App>();

/** Connects to the server that sent the page. */
export function createApp(): App {
  const newest = new Newest();
  const connection = new Connection();
  const url = new URL('/graphql/ws', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = openSocket(url.href, {
    connected() {
      connection.connected();
      // The store may be another one than before the break.
      if (system.status) void system.poll();
    },
    closed: () => connection.closed(),
  });
  const client = createApollo(socket, newest);
  const changes = new Changes(client);
  let epoch = $state(0);

  const system = new System(client, async (status) => {
    // Changes start at what the projections have applied by now, and pages ask only after that: nothing falls between.
    newest.clear();
    if (epoch > 0) await client.clearStore();
    changes.start(appliedPosition(status));
    epoch += 1;
  });
  void system.poll();
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) void system.poll();
  });

  return {
    client,
    router: new Router(),
    connection,
    system,
    changes,
    theme: new Theme(),
    get epoch() {
      return epoch;
    },
  };
}
