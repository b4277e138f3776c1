import type { ApolloClient } from '@apollo/client';
import {
  ExecuteCommandDocument,
  WorkflowByIdDocument,
  type CommandResultFieldsFragment,
  type WorkflowCommandInput,
} from '../../graphql/generated';
import { guessDetail, readDetail, writeDetail } from '../apollo/write';
import { uuidV7 } from '../text/ids';
import { newTrace } from '../text/trace';
import { readFailure, sentence } from './failure';
import { predict } from './predict';

const VISIBLE_WAIT_MS = 5_000;
/** The server's word for a command that is queued durably and that nobody decided in time. */
const UNDECIDED = 'undecided';

export interface Order {
  workflowId: string;
  command: WorkflowCommandInput;
  /** The same id again is the same command: sending it twice does it once. */
  commandId: string;
  expectedVersion: number | null;
}

export type Outcome = { traceId: string; ms: number } & (
  /** `note` says what is still missing, for example that the change is not visible yet. */
  | { kind: 'confirmed'; version: number | null; note: string | null }
  | { kind: 'rejected'; code: string; message: string }
  /** Nobody knows yet. The command may have been carried out, or will be; sending the same order again is safe. */
  | { kind: 'unanswered'; message: string }
);

export function newOrder(workflowId: string, command: WorkflowCommandInput, expectedVersion: number | null = null): Order {
  return { workflowId, command, commandId: uuidV7(), expectedVersion };
}

/**
 * What a form sends: the order that is still unanswered when the person submits the same once more, so that it is done
 * once, and otherwise the new one.
 */
export function sameOrNew(last: Order | null, outcome: Outcome | null, next: Order): Order {
  if (last === null || outcome?.kind !== 'unanswered') return next;
  const content = ({ commandId, ...rest }: Order) => JSON.stringify(rest);
  return content(last) === content(next) ? last : next;
}

/**
 * Sends a command and waits until its effect is visible. What it will likely do is shown meanwhile; a rejection takes
 * that back, and so does the newer truth once it is here, before the answer or with it.
 */
export async function execute(client: ApolloClient, order: Order): Promise<Outcome> {
  const before = readDetail(client.cache, order.workflowId);
  const takeBack = before && guessDetail(client.cache, predict(before, order.command, new Date().toISOString()));
  const began = performance.now();
  const trace = newTrace();
  try {
    const result = await send(client, order, trace);
    const ms = performance.now() - began;
    if (!result.success) {
      const { code, message, traceId } = result;
      if (code === UNDECIDED) return { kind: 'unanswered', message: sentence(message ?? 'not decided in time'), traceId, ms };
      return { kind: 'rejected', code: code ?? 'REJECTED', message: sentence(message ?? 'the command was rejected'), traceId, ms };
    }
    if (before && result.version !== null) await catchUp(client, order.workflowId, result.version);
    const note = result.message === null ? null : sentence(result.message);
    return { kind: 'confirmed', version: result.version, note, traceId: result.traceId, ms };
  } catch (error) {
    return { ...readFailure(error), traceId: trace.traceId, ms: performance.now() - began };
  } finally {
    takeBack?.();
  }
}

async function send(client: ApolloClient, order: Order, trace: { traceId: string; traceparent: string }): Promise<CommandResultFieldsFragment> {
  const { command, commandId, expectedVersion } = order;
  const { data } = await client.mutate({
    mutation: ExecuteCommandDocument,
    variables: { command, commandId, expectedVersion, wait: 'VISIBLE', timeoutMs: VISIBLE_WAIT_MS },
    fetchPolicy: 'no-cache',
    context: { trace },
  });
  if (!data) throw new Error('the server sent no result');
  return data.executeWorkflowCommand;
}

/** The push usually wins this race; when it has not come yet, the truth is fetched before the guess is dropped. */
async function catchUp(client: ApolloClient, id: string, version: number): Promise<void> {
  if ((readDetail(client.cache, id)?.version ?? 0) >= version) return;
  try {
    const variables = { id, atLeastVersion: version, timeoutMs: VISIBLE_WAIT_MS };
    const { data } = await client.query({ query: WorkflowByIdDocument, variables, fetchPolicy: 'no-cache' });
    if (data?.workflow && (readDetail(client.cache, id)?.version ?? 0) <= data.workflow.version) writeDetail(client.cache, data.workflow);
  } catch {
    // The command itself succeeded; the subscription brings its effect.
  }
}
