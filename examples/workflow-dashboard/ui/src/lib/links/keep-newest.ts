import { ApolloLink } from '@apollo/client';
import { Observable } from 'rxjs';
import type { Newest } from './newest';

/**
 * Lets no workflow go back in time: a late answer cannot overwrite a newer push, whichever way either came.
 * Apollo itself lets the last writer win. Operations with `context.timeTravel` ask for the past and pass untouched.
 */
export function keepNewestLink(newest: Newest): ApolloLink {
  return new ApolloLink((operation, forward) => {
    if (operation.getContext()['timeTravel'] === true) return forward(operation);
    return new Observable((observer) =>
      forward(operation).subscribe({
        next(result) {
          if (operation.operationType === 'subscription' && newest.isStale(result.data)) return;
          observer.next({ ...result, data: newest.settle(result.data) } as ApolloLink.Result);
        },
        error: (error) => observer.error(error),
        complete: () => observer.complete(),
      }),
    );
  });
}
