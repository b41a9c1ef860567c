// How operations reach PENNY: over HTTP, subscriptions over a WebSocket, signed in by the cookie or by what the headers editor says.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';

const url = new URL('/graphql', location.href).href;
let headers = {};

// The socket opens with the first subscription and closes after the last. A browser's WebSocket carries no headers of ours,
// so they go in `connection_init`.
const wsClient = createClient({ url: url.replace(/^http/, 'ws'), lazy: true, connectionParams: () => headers });

const request = createGraphiQLFetcher({ url, wsClient, enableIncrementalDelivery: false });

export function fetcher(operation, options) {
  headers = options?.headers ?? {};
  return request(operation, options);
}
