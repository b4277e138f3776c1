import { ApolloLink } from '@apollo/client';
import { newTrace } from '../text/trace';

/** Gives every request a W3C `traceparent` header; a caller that wants to know its trace sets `context.trace`. */
export function traceparentLink(): ApolloLink {
  return new ApolloLink((operation, forward) => {
    const { trace = newTrace(), headers } = operation.getContext();
    operation.setContext({ headers: { ...headers, traceparent: trace.traceparent } });
    return forward(operation);
  });
}
