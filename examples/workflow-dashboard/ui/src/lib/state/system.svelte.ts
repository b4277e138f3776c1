import type { ApolloClient } from '@apollo/client';
import { SystemStatusDocument, type SystemStatusQuery } from '../../graphql/generated';

type Status = SystemStatusQuery['systemStatus'];

const POLL_MS = 2_000;
const POLL_HIDDEN_MS = 15_000;

/** How far the store and its projections are, asked every two seconds; less often in a hidden tab. */
export class System {
  status = $state.raw<Status | null>(null);
  readonly #client: ApolloClient;
  readonly #onStoreChanged: (status: Status) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: Promise<void> | undefined;

  /** `onStoreChanged` is told of the first answer and of every one that comes from another store. */
  constructor(client: ApolloClient, onStoreChanged: (status: Status) => void) {
    this.#client = client;
    this.#onStoreChanged = onStoreChanged;
  }

  /** The largest lag of all projections in events. */
  get lagEvents(): number {
    return Math.max(0, ...(this.status?.projections ?? []).map((projection) => projection.lagEvents));
  }

  get parked(): number {
    return (this.status?.projections ?? []).reduce((sum, projection) => sum + projection.parked, 0);
  }

  /** Asks now, and from then on again and again. */
  poll(): Promise<void> {
    clearTimeout(this.#timer);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
      this.#timer = setTimeout(() => void this.poll(), document.hidden ? POLL_HIDDEN_MS : POLL_MS);
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    try {
      const { data } = await this.#client.query({ query: SystemStatusDocument, fetchPolicy: 'no-cache' });
      if (!data) return;
      const { systemStatus } = data;
      const isOther = this.status?.storeId !== systemStatus.storeId;
      this.status = systemStatus;
      if (isOther) this.#onStoreChanged(systemStatus);
    } catch {
      // The connection's state is shown by its own badge; the next poll asks again.
    }
  }
}

/** The place up to which every projection has been applied: whatever a query shows is at least this new. */
export function appliedPosition({ headPosition, projections }: Status): string {
  const positions = projections.map((projection) => BigInt(projection.position));
  return positions.reduce((least, position) => (position < least ? position : least), BigInt(headPosition)).toString();
}
