export type ConnectionState = 'live' | 'reconnecting' | 'offline';

/** Short breaks mend themselves; only after this long does the page call itself offline. */
export const OFFLINE_AFTER_MS = 8_000;

/** What the page knows of its live connection, as runes. */
export class Connection {
  state = $state<ConnectionState>('reconnecting');
  /** When the connection was lost; null while it lives. */
  since = $state<Date | null>(null);
  /** False until the first connection was made. */
  everLive = $state(false);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.closed();
  }

  connected(): void {
    clearTimeout(this.#timer);
    this.state = 'live';
    this.since = null;
    this.everLive = true;
  }

  /** Called for each attempt that fails, too: the time counts from the first. */
  closed(): void {
    if (this.since !== null) return;
    this.state = 'reconnecting';
    this.since = new Date();
    this.#timer = setTimeout(() => (this.state = 'offline'), OFFLINE_AFTER_MS);
  }
}
