// npm's graphql-ws against PENNY: a query over the socket, and a run's events, once with a cut connection in between.
//
//   url            http(s):// or ws(s):// address of the endpoint
//   token, cookie  who is asking: a bearer token for `connection_init`, or a Cookie header for the handshake
//   query, variables        an operation to run over the socket; its data is printed as `data`
//   runId, after            a run to follow to its end; printed as `seqs`, `types`, `text`, `status`
//   dropAfter, reconnectUrl cut the socket after so many events, then go on at `reconnectUrl` with `after: lastSeq`
import { dataOf, drive } from './driver.mjs';
import { RUN_EVENTS, summary } from './run_events.mjs';
import { socketClient } from './sockets.mjs';

async function ask({ query, variables, ...connection }) {
  const client = socketClient(connection);
  const { value } = await client.iterate({ query, variables }).next();
  await client.dispose();
  return dataOf(value);
}

/** The events of a run; with `dropAfter`, the first so many of them, ended by cutting the socket without a word. */
async function follow({ runId, after = null, dropAfter, ...connection }) {
  let socket;
  const client = socketClient({ ...connection, onSocket: (opened) => (socket = opened) });
  const events = [];
  for await (const result of client.iterate({ query: RUN_EVENTS, variables: { runId, after } })) {
    events.push(dataOf(result).runEvents);
    if (events.length === dropAfter) {
      socket.terminate();
      return events;
    }
  }
  await client.dispose();
  if (dropAfter) throw new Error(`the run ended after ${events.length} events, before the cut after ${dropAfter}`);
  return events;
}

async function followThroughACut(args) {
  const before = await follow(args);
  const { dropAfter, ...rest } = args;
  const resumed = await follow({ ...rest, url: args.reconnectUrl ?? args.url, after: before.at(-1).seq });
  return [...before, ...resumed];
}

drive(async (args) => {
  const data = args.query ? await ask(args) : undefined;
  if (!args.runId) return { data };
  const events = args.dropAfter ? await followThroughACut(args) : await follow(args);
  return { data, ...summary(events) };
});
