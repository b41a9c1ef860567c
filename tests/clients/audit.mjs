// npm's graphql-http audits PENNY: what the draft of GraphQL over HTTP asked for.
//
//   url   http(s):// address of the endpoint
//
// Prints `ok`, the number of audits that passed, and `failed`: the others as `{ id, status, name, reason }`.
import { auditServer } from 'graphql-http';

import { drive } from './driver.mjs';

drive(async ({ url }) => {
  const results = await auditServer({ url });
  const failed = results.filter(({ status }) => status !== 'ok').map(({ id, status, name, reason }) => ({ id, status, name, reason }));
  return { ok: results.length - failed.length, failed };
});
