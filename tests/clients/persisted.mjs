// Clients that send documents by their ids: Apollo Client and urql by hash, graphql-ws with an empty query, others with `documentId` or `doc_id`.
//
//   url       http(s):// address of the endpoint
//   token     who is asking
//   manifest  Apollo's manifest, as published; without it the clients make the hashes themselves
//   ids       bodies to post as they are, such as {"documentId": "…"}
//   runId     a run to follow over a socket
//
// Prints for `apollo`, `urql` and each of `ids` the viewer's name or the code of the error, `seqs` of the run's events, and what was sent:
// `requests` by client, as method and whether the document came along.
import { createHash } from 'node:crypto';

import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { generatePersistedQueryIdsFromManifest } from '@apollo/persisted-query-lists';
import { cacheExchange, createClient, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';

import { drive } from './driver.mjs';
import { RUN_EVENTS, VIEWER } from './persisted_operations.mjs';
import { socketClient } from './sockets.mjs';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** A fetch that notes what was sent. */
function noting(requests) {
  return (address, options) => {
    const { searchParams } = new URL(address);
    const sent = options.body ? JSON.parse(options.body) : Object.fromEntries(searchParams);
    requests.push(`${options.method ?? 'GET'} ${sent.query ? 'document' : 'id'}`);
    return fetch(address, options);
  };
}

async function byApollo({ url, headers, manifest, requests }) {
  const ids = manifest ? generatePersistedQueryIdsFromManifest({ loadManifest: async () => manifest }) : { sha256 };
  const link = new PersistedQueryLink({ ...ids, useGETForHashedQueries: true }).concat(new HttpLink({ uri: url, headers, fetch: noting(requests) }));
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const { data, error } = await client.query({ query: gql(VIEWER), errorPolicy: 'all' });
  return data?.viewer.user.name ?? error.errors[0].extensions.code;
}

async function byUrql({ url, headers, requests }) {
  const client = createClient({
    url,
    exchanges: [cacheExchange, persistedExchange({ generateHash: async (text) => sha256(text) }), fetchExchange],
    fetch: noting(requests),
    fetchOptions: { headers },
    preferGetMethod: false,
  });
  const { data, error } = await client.query(VIEWER, {}).toPromise();
  return data?.viewer.user.name ?? error.graphQLErrors[0]?.extensions.code ?? String(error);
}

async function byId({ url, headers, body }) {
  const response = await fetch(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const { data, errors } = await response.json();
  return data?.viewer?.user.name ?? errors[0].extensions.code;
}

async function bySocket({ url, token, manifest, runId }) {
  const { id } = manifest.operations.find(({ name }) => name === 'RunEvents');
  const client = socketClient({ url, token });
  const seqs = [];
  const extensions = { persistedQuery: { version: 1, sha256Hash: id } };
  for await (const { data, errors } of client.iterate({ query: '', variables: { runId }, extensions })) {
    if (errors) throw errors;
    seqs.push(data.runEvents.seq);
  }
  await client.dispose();
  return seqs;
}

drive(async ({ url, token, manifest, ids = [], runId }) => {
  const headers = { authorization: `Bearer ${token}` };
  const requests = { apollo: [], urql: [] };
  return {
    apollo: await byApollo({ url, headers, manifest, requests: requests.apollo }),
    urql: await byUrql({ url, headers, requests: requests.urql }),
    ids: await Promise.all(ids.map((body) => byId({ url, headers, body }))),
    seqs: runId ? await bySocket({ url, token, manifest, runId }) : [],
    requests,
  };
});
