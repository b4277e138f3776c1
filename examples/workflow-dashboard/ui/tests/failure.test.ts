import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';
import { describe, expect, it } from 'vitest';
import { readFailure } from '../src/lib/commands/failure';

const graphQL = (code?: string) =>
  new CombinedGraphQLErrors({ errors: [{ message: 'step is empty', ...(code === undefined ? {} : { extensions: { code } }) }] });
const server = (status: number, body: string) => new ServerError('no', { response: new Response(body, { status }), bodyText: body });

describe('readFailure', () => {
  it('a request that was wrong was not carried out', () => {
    expect(readFailure(graphQL('INVALID_ARGUMENT'))).toEqual({ kind: 'rejected', code: 'INVALID_ARGUMENT', message: 'step is empty.' });
    expect(readFailure(graphQL())).toMatchObject({ kind: 'rejected', code: 'REFUSED' });
    const body = JSON.stringify({ errors: [{ message: 'the body is over 1 MiB', extensions: { code: 'BODY_TOO_LARGE' } }] });
    expect(readFailure(server(413, body))).toEqual({ kind: 'rejected', code: 'BODY_TOO_LARGE', message: 'the body is over 1 MiB.' });
    expect(readFailure(server(403, '<html>'))).toEqual({ kind: 'rejected', code: 'HTTP_403', message: 'the server answered 403.' });
  });

  it('when the server or the network failed, nobody knows', () => {
    for (const error of [graphQL('UNAVAILABLE'), graphQL('TIMEOUT'), server(502, 'bad gateway'), new TypeError('Failed to fetch'), 'odd']) {
      expect(readFailure(error).kind).toBe('unanswered');
    }
  });
});
