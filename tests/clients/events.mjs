// npm's graphql-sse and urql against PENNY over server-sent events: a query and a run's events, and urql's own queries beside them.
//
//   url    http(s):// address of the endpoint
//   token  who is asking
//   runId  a run to follow to its end; printed as `seqs`, `types`, `text`, `status`
//   query  an operation to ask by both; printed as `data` and `urql`
import { cacheExchange, createClient as createUrql, fetchExchange } from '@urql/core';
import { createClient } from 'graphql-sse';

import { dataOf, drive } from './driver.mjs';
import { RUN_EVENTS, summary } from './run_events.mjs';

async function bySse({ url, headers, query, variables }) {
  const client = createClient({ url, headers, retryAttempts: 0 });
  const results = [];
  for await (const result of client.iterate({ query, variables })) results.push(dataOf(result));
  client.dispose();
  return results;
}

function byUrql({ url, headers, query, variables }) {
  const client = createUrql({ url, exchanges: [cacheExchange, fetchExchange], fetchOptions: { headers }, fetchSubscriptions: true, preferGetMethod: false });
  const results = [];
  return new Promise((resolve, reject) => {
    const take = ({ data, error, hasNext }) => {
      if (error) return reject(error);
      results.push(data);
      if (!hasNext) resolve(results);
    };
    const source = query.trimStart().startsWith('subscription') ? client.subscription(query, variables) : client.query(query, variables);
    source.subscribe(take);
  });
}

drive(async ({ url, token, runId, query }) => {
  const headers = { authorization: `Bearer ${token}` };
  const followed = { url, headers, query: RUN_EVENTS, variables: { runId, after: null } };
  const events = await bySse(followed);
  const again = await byUrql(followed);
  return {
    ...summary(events.map((data) => data.runEvents)),
    urqlSeqs: summary(again.filter(Boolean).map((data) => data.runEvents)).seqs,
    data: (await bySse({ url, headers, query }))[0],
    urql: (await byUrql({ url, headers, query, variables: {} }))[0],
  };
});
