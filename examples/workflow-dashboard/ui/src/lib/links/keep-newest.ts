import { ApolloLink } from '@apollo/client';
import { concatMap, filter, map, of, switchMap, timer, type Observable } from 'rxjs';
import type { Newest } from './newest';

const ASK_AGAIN_MS = 100;
const ASK_AGAIN_MAX = 3;

/**
 * Lets no workflow go back in time: a late answer cannot overwrite a newer push, whichever way either came.
 * Apollo itself lets the last writer win. A late answer that says more than the newer push did is asked for again, so
 * that the fields of two versions are never mixed. Operations with `context.timeTravel` ask for the past and pass
 * untouched.
 */
export function keepNewestLink(newest: Newest): ApolloLink {
  return new ApolloLink((operation, forward) => {
    if (operation.getContext()['timeTravel'] === true) return forward(operation);
    if (operation.operationType === 'subscription') {
      return forward(operation).pipe(
        filter(({ data }) => !newest.isStale(data)),
        map((result) => ({ ...result, data: newest.settle(result.data) }) as ApolloLink.Result),
      );
    }
    return ask(operation.operationType === 'query' ? ASK_AGAIN_MAX : 0);

    /** A server that lags behind the one that pushed may stay behind: then its whole answer is better than none. */
    function ask(tries: number): Observable<ApolloLink.Result> {
      return forward(operation).pipe(
        concatMap((result) => {
          let isOlder = false;
          const data = newest.settle(result.data, () => (isOlder = true));
          if (isOlder && tries > 0) return timer(ASK_AGAIN_MS).pipe(switchMap(() => ask(tries - 1)));
          return of({ ...result, data } as ApolloLink.Result);
        }),
      );
    }
  });
}
