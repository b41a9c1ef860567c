// Apollo Client 4, urql and graphql-request against PENNY: each must see data that comes with errors, and errors alone.
//
//   url    http(s):// address of the endpoint
//   query  an operation whose answer has data and errors
//   bad    one that cannot run
//
// Prints for each client `partial` and `bad` as `{ data, codes }`.
import { ApolloClient, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { cacheExchange, createClient, fetchExchange } from '@urql/core';
import { GraphQLClient } from 'graphql-request';

import { drive } from './driver.mjs';

const codes = (errors) => (errors ?? []).map((error) => error.extensions.code);

async function apollo({ url, query }) {
  const client = new ApolloClient({ link: new HttpLink({ uri: url }), cache: new InMemoryCache() });
  const { data, error } = await client.query({ query: gql(query), errorPolicy: 'all' });
  if (error && !CombinedGraphQLErrors.is(error)) throw error;
  return { data: data ?? null, codes: codes(error?.errors) };
}

async function urql({ url, query }) {
  const client = createClient({ url, exchanges: [cacheExchange, fetchExchange], preferGetMethod: false });
  const { data, error } = await client.query(query, {}).toPromise();
  if (error?.networkError) throw error.networkError;
  return { data: data ?? null, codes: codes(error?.graphQLErrors) };
}

async function graphqlRequest({ url, query }) {
  const client = new GraphQLClient(url, { errorPolicy: 'all' });
  try {
    const { data, errors } = await client.rawRequest(query);
    return { data: data ?? null, codes: codes(errors) };
  } catch (error) {
    return { data: error.response.data ?? null, codes: codes(error.response.errors) };
  }
}

drive(async ({ url, query, bad }) => {
  const seen = {};
  for (const [name, client] of Object.entries({ apollo, urql, graphqlRequest })) {
    seen[name] = { partial: await client({ url, query }), bad: await client({ url, query: bad }) };
  }
  return seen;
});
