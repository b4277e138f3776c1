import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';

export type Failure = { kind: 'rejected'; code: string; message: string } | { kind: 'unanswered'; message: string };

/** Codes of errors after which nobody knows whether the command was carried out. */
const UNCERTAIN = new Set(['UNAVAILABLE', 'INTERNAL', 'TIMEOUT']);

/**
 * What a failed request means to the person who sent the command: refused before anything happened, or unanswered,
 * so that it may have been carried out all the same.
 */
export function readFailure(error: unknown): Failure {
  if (CombinedGraphQLErrors.is(error)) return fromGraphQL(error.errors);
  if (ServerError.is(error)) {
    const errors = readErrors(error.bodyText);
    if (errors.length > 0) return fromGraphQL(errors);
    const message = `the server answered ${error.statusCode}.`;
    return error.statusCode < 500 ? { kind: 'rejected', code: `HTTP_${error.statusCode}`, message } : { kind: 'unanswered', message };
  }
  return { kind: 'unanswered', message: sentence(error instanceof Error ? error.message : String(error)) };
}

interface GraphQLErrorLike {
  message: string;
  extensions?: Record<string, unknown> | undefined;
}

function fromGraphQL(errors: readonly GraphQLErrorLike[]): Failure {
  const first = errors[0];
  const message = sentence(first?.message ?? 'the server gave no reason');
  const code = String(first?.extensions?.['code'] ?? 'REFUSED');
  return UNCERTAIN.has(code) ? { kind: 'unanswered', message } : { kind: 'rejected', code, message };
}

function readErrors(body: string): GraphQLErrorLike[] {
  try {
    const { errors } = JSON.parse(body) as { errors?: GraphQLErrorLike[] };
    return Array.isArray(errors) ? errors : [];
  } catch {
    return [];
  }
}

/** The server's messages have no full stop, so that they can stand inside others. */
export function sentence(message: string): string {
  return /[.!?…]$/.test(message) ? message : `${message}.`;
}
