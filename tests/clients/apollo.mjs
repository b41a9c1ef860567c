// Apollo Client against PENNY: HTTP for queries and mutations, graphql-ws for the subscription, one conversation from end to end.
//
//   url            http(s):// address of the endpoint
//   token, cookie  who is asking
//   text           what to ask the model
//   key            makes the idempotency keys of this call (random where it is missing)
//
// Prints `viewer`, `chatId`, `runId`, the run's `seqs`, `types`, `text`, `status`, and the `messages` that the chat holds afterwards.
import { randomUUID } from 'node:crypto';

import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { lastValueFrom, map, toArray } from 'rxjs';

import { drive, payloadOf } from './driver.mjs';
import { RUN_EVENTS, summary } from './run_events.mjs';
import { socketClient } from './sockets.mjs';

const VIEWER = gql`
  query Viewer {
    viewer { permissions user { id name email } }
  }
`;

const CHAT_CREATE = gql`
  mutation ChatCreate($input: ChatCreateInput!) {
    chatCreate(input: $input) { chat { id title } errors { code message } }
  }
`;

const MESSAGE_SEND = gql`
  mutation MessageSend($input: MessageSendInput!) {
    messageSend(input: $input) { message { id } runs { id } reused errors { code message } }
  }
`;

const CHAT_MESSAGES = gql`
  query ChatMessages($id: ID!) {
    node(id: $id) {
      ... on Chat { id messages(first: 20) { nodes { id role status parts { ... on TextPart { id text } } } } }
    }
  }
`;

function apolloClient({ url, token, cookie }) {
  const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(cookie && { cookie }) };
  const socket = socketClient({ url, token, cookie });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: url, headers }),
  );
  return new ApolloClient({ link, cache: new InMemoryCache() });
}

function eventsOf(client, runId) {
  const results = client.subscribe({ query: gql(RUN_EVENTS), variables: { runId } });
  const events = results.pipe(
    map(({ data, error }) => {
      if (error) throw error;
      return data.runEvents;
    }),
    toArray(),
  );
  return lastValueFrom(events);
}

drive(async ({ text, key = randomUUID(), ...connection }) => {
  const client = apolloClient(connection);
  const { viewer } = (await client.query({ query: VIEWER })).data;

  const chatInput = { title: 'From Apollo', idempotencyKey: `${key}-chat` };
  const created = await client.mutate({ mutation: CHAT_CREATE, variables: { input: chatInput } });
  const { chat } = payloadOf(created.data.chatCreate);

  const messageInput = { chatId: chat.id, content: [{ text }], idempotencyKey: `${key}-message` };
  const sent = await client.mutate({ mutation: MESSAGE_SEND, variables: { input: messageInput } });
  const [run] = payloadOf(sent.data.messageSend).runs;

  const events = await eventsOf(client, run.id);
  const kept = await client.query({ query: CHAT_MESSAGES, variables: { id: chat.id } });
  const messages = kept.data.node.messages.nodes.map(({ role, status, parts }) => ({
    role,
    status,
    text: parts.map((part) => part.text ?? '').join(''),
  }));
  return { viewer, chatId: chat.id, runId: run.id, ...summary(events), messages };
});
