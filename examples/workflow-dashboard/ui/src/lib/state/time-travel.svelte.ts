import type { ApolloClient } from '@apollo/client';
import { WorkflowAtVersionDocument, type WorkflowDetailFragment } from '../../graphql/generated';
import { diffJson, type Change } from '../text/diff';
import type { Json } from '../text/json';

const REMEMBERED_MAX = 64;
/** Differs between any two versions, so it is no difference worth a line. */
const ENVELOPE = new Set(['version', 'position']);

/** The states of one workflow at any of its versions. The past does not change, so each is asked for once. */
export class TimeTravel {
  readonly #client: ApolloClient;
  readonly #id: string;
  readonly #known = new Map<number, Promise<Json>>();

  constructor(client: ApolloClient, id: string) {
    this.#client = client;
    this.#id = id;
  }

  /** The state right after the event with this version; before the first event there is none. */
  at(version: number): Promise<Json> {
    if (version < 1) return Promise.resolve(null);
    const known = this.#known.get(version);
    if (known !== undefined) return known;
    const asked = this.#ask(version);
    this.#known.set(version, asked);
    asked.catch(() => this.#known.delete(version));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED_MAX) break;
      this.#known.delete(oldest);
    }
    return asked;
  }

  async between(before: number, after: number): Promise<Change[]> {
    const [from, to] = await Promise.all([this.at(before), this.at(after)]);
    return diffJson(from, to).filter(({ path }) => !ENVELOPE.has(path));
  }

  async #ask(version: number): Promise<Json> {
    const { data } = await this.#client.query({
      query: WorkflowAtVersionDocument,
      variables: { id: this.#id, version },
      fetchPolicy: 'no-cache',
      context: { timeTravel: true },
    });
    if (!data?.workflowAt) throw new Error(`version ${version} is not there`);
    return plain(data.workflowAt);
  }
}

/** The state itself: without GraphQL's type names, and without what follows from the state. */
function plain({ __typename, legalCommands, steps, ...fields }: WorkflowDetailFragment): Json {
  const bare = steps.map(({ __typename, ...step }) => step);
  return { ...fields, steps: bare } as Json;
}
