// PostGraphile 5 as it comes (the Amber preset) over PENNY's tables, with a plugin that decrypts.
import "./with_resolvers.mjs";
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { grafserv } from "postgraphile/grafserv/node";
import { extendSchema } from "postgraphile/utils";
import { constant, context, lambda } from "postgraphile/grafast";
import { parts, pool, title } from "./reading.mjs";

// Decrypting costs the same here as everywhere: one call for a row, over the columns that PostGraphile selects.
const decrypted = (read, column) => ($row) =>
  lambda([context().get("tenant"), $row.get("id"), $row.get(column)], ([tenant, id, value]) => read(tenant, { id, [column]: value }), true);

const Texts = extendSchema(() => ({
  typeDefs: /* GraphQL */ `
    extend type Chat {
      openTitle: String
    }
    extend type Message {
      text: String!
    }
  `,
  objects: {
    Chat: { plans: { openTitle: decrypted(title, "title") } },
    Message: { plans: { text: decrypted((tenant, row) => parts(tenant, row).map((part) => part.text).join(""), "content") } },
  },
}));

const preset = {
  extends: [PostGraphileAmberPreset],
  plugins: [Texts],
  // Otherwise only columns that begin an index can be filtered and ordered by; here they begin with the tenant.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  pgServices: [makePgService({ pool, schemas: ["penny"] })],
  grafserv: { graphiql: false, watch: false, websockets: false },
  grafast: {
    explain: false,
    context(requestContext) {
      const { headers } = requestContext.node.req;
      const tenant = headers["x-tenant"];
      return { tenant, pgSettings: { "app.tenant_id": tenant } };
    },
  },
};

const server = createServer();
const instance = postgraphile(preset);
if (process.argv[2] === "--schema") {
  const { printSchema } = await import("graphql");
  console.log(printSchema(await instance.getSchema()));
  process.exit(0);
}
await instance.createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");
