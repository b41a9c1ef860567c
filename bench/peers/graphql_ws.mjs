// Subscriptions by graphql-ws on ws, run by graphql-js: what most Node servers have.
import { EventEmitter, on } from "node:events";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { readFileSync } from "node:fs";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const emitter = new EventEmitter().setMaxListeners(0);

async function* runEvents({ runId }) {
  for await (const [event] of on(emitter, runId)) yield { runEvents: event };
}

const schema = buildSchema(readFileSync(new URL("schema.graphql", import.meta.url), "utf8"));
schema.getType("RunEvent").resolveType = () => "TextDelta";

const server = createServer((_, response) => response.end());
useServer({ schema, roots: { subscription: { runEvents } } }, new WebSocketServer({ server, path: "/graphql" }));
server.listen(Number(process.env.PORT), "127.0.0.1");

// Each byte that comes here is a token of the one run.
let seq = 0;
createTcpServer((socket) =>
  socket.setNoDelay().on("data", (bytes) => {
    for (const _ of bytes) {
      seq += 1;
      emitter.emit("run", { seq, offset: seq * 6, text: " river" });
    }
  }),
).listen(Number(process.env.TOKENS_PORT), "127.0.0.1");
