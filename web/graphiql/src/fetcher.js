// How operations reach PENNY: over HTTP, subscriptions over a WebSocket, signed in by the cookie or by what the headers editor says.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';

import { remember } from './examples.js';
import { signal } from './signals.js';

const url = new URL('/graphql', location.href).href;
let headers = {};

/** What the last operation that a person ran did cost, `{requested, actual, left}`; null before it and for subscriptions. */
export const spent = signal(null);

// The socket opens with the first subscription and closes after the last. A browser's WebSocket carries no headers of ours,
// so they go in `connection_init`.
const wsClient = createClient({ url: url.replace(/^http/, 'ws'), lazy: true, connectionParams: () => headers });

let left = null;

async function noted(...asked) {
  const answer = await fetch(...asked);
  // What is left of the caller's points (draft-ietf-httpapi-ratelimit-headers).
  left = Number(/;r=(\d+)/.exec(answer.headers.get('ratelimit'))?.[1] ?? NaN);
  return answer;
}

const request = createGraphiQLFetcher({ url, wsClient, enableIncrementalDelivery: false, fetch: noted });

function seen(result) {
  const cost = result?.extensions?.cost;
  spent.set(cost ? { ...cost, left } : null);
  remember(result?.data);
  return result;
}

/** Runs what a person wrote, and what GraphiQL asks for by itself. */
export async function fetcher(operation, options) {
  headers = options?.headers ?? {};
  if (!options?.documentAST) return request(operation, options);
  spent.set(null);
  const answer = await request(operation, options);
  return Symbol.asyncIterator in answer ? answer : seen(answer);
}

/** Asks the API something for the page itself. Raises an error in its words. */
export async function ask(query, variables, given = {}) {
  const answer = await post({ query, variables }, given);
  if (answer.errors?.length) throw new Error(answer.errors[0].message);
  return answer.data;
}

/**
 * Sends a document by its id; a subscription's results come one after the other, until `stopped` is aborted. Of an id that was typed it is not
 * known whether it is one: the API says so.
 */
export async function* byId(operation, isSubscription, given, stopped) {
  headers = given;
  spent.set(null);
  const answer = isSubscription ? null : await post(operation, given, stopped);
  if (answer && answer.errors?.[0]?.extensions?.code !== 'NOT_ACCEPTABLE') {
    yield seen(answer);
    return;
  }
  const results = wsClient.iterate({ query: '', ...operation });
  stopped.addEventListener('abort', () => results.return());
  yield* results;
}

async function post(body, given, stopped) {
  const sent = { method: 'POST', headers: { 'content-type': 'application/json', ...given }, body: JSON.stringify(body), signal: stopped };
  return (await noted(url, sent)).json();
}
