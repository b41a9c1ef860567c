// Mercurius with graphql-jit and loaders on Fastify, and its subscriptions. Who asks is in the headers.
import { createServer } from "node:net";
import Fastify from "fastify";
import mercurius from "mercurius";
import mq from "mqemitter";
import { globalId, parts, rows, schema, title } from "./reading.mjs";

const kinds = { text: "TextPart", reasoning: "ReasoningPart", notice: "NoticePart" };
const emitter = mq();

const resolvers = {
  Query: {
    chats: async (_, { first }, { tenant, user }) => ({ nodes: await rows(tenant, "chats", [tenant, user, first]) }),
    node: async (_, { id }, { tenant, user }) => (await rows(tenant, "chat", [tenant, id.slice("chat_".length), user]))[0],
  },
  Subscription: {
    runEvents: { subscribe: (_, { runId }, { pubsub }) => pubsub.subscribe(runId) },
  },
  Node: { resolveType: () => "Chat" },
  RunEvent: { resolveType: () => "TextDelta" },
  MessagePart: { resolveType: (part) => kinds[part.type] },
  Chat: {
    id: (chat) => globalId("chat", chat.id),
    title: (chat, _, { tenant }) => title(tenant, chat),
    createdAt: (chat) => chat.created_at,
    updatedAt: (chat) => chat.updated_at,
  },
  Message: {
    id: (message) => globalId("msg", message.id),
    createdAt: (message) => message.created_at,
    parts: (message, _, { tenant }) => parts(tenant, message),
  },
};

const loaders = {
  Chat: {
    messages: {
      async loader(queries, { tenant }) {
        const chats = queries.map(({ obj }) => obj);
        const ids = [chats.map((chat) => chat.id), chats.map((chat) => chat.head_message_id)];
        const pages = queries.map(() => ({ nodes: [] }));
        const found = await rows(tenant, "messages", [tenant, ...ids, queries[0].params.last]);
        for (const message of found) pages[message.ordinal - 1].nodes.push(message);
        return pages;
      },
      opts: { cache: false },
    },
  },
};

const app = Fastify();
app.register(mercurius, {
  schema,
  resolvers,
  loaders,
  jit: 1,
  context: ({ headers }) => ({ tenant: headers["x-tenant"], user: headers["x-user"] }),
  subscription: { emitter },
});
await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });

// Each byte that comes here is a token of the one run.
let seq = 0;
createServer((socket) =>
  socket.setNoDelay().on("data", (bytes) => {
    for (const _ of bytes) {
      seq += 1;
      emitter.emit({ topic: "run", payload: { runEvents: { seq, offset: seq * 6, text: " river" } } });
    }
  }),
).listen(Number(process.env.TOKENS_PORT), "127.0.0.1");
