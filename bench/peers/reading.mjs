// What the Node peers share: rows of one tenant from PostgreSQL, and what is encrypted in them.
import { createDecipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { decode } from "@msgpack/msgpack";
import pg from "pg";

const beside = (name) => new URL(name, import.meta.url);
const keys = Object.entries(JSON.parse(readFileSync(process.env.BENCH_KEYS, "utf8")));
const keyOf = new Map(keys.map(([tenant, key]) => [tenant, Buffer.from(key, "hex")]));

export const statements = JSON.parse(readFileSync(beside("statements.json"), "utf8"));
export const schema = readFileSync(beside("schema.graphql"), "utf8");

// Times go out as PostgreSQL writes them, but for the T: a Date would be made only to be written again.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => text.replace(" ", "T"));
export const pool = new pg.Pool({ max: 8 });

/** Read rows in a transaction of the tenant; PostgreSQL's row-level security does the rest. */
export async function rows(tenant, name, values) {
  const client = await pool.connect();
  try {
    await client.query(`BEGIN READ ONLY; SET LOCAL app.tenant_id = '${tenant}'`);
    const found = await client.query({ name, text: statements[name], values });
    await client.query("COMMIT");
    return found.rows;
  } finally {
    client.release();
  }
}

/** Decrypt a column: version of the key, nonce, text and tag, bound to its place. */
function opened(tenant, place, id, content) {
  const cipher = createDecipheriv("aes-256-gcm", keyOf.get(tenant), content.subarray(5, 17));
  cipher.setAAD(Buffer.from(`penny|v1|${tenant}|${place}|${id}|${content.readUInt32BE(1)}`));
  cipher.setAuthTag(content.subarray(content.length - 16));
  return Buffer.concat([cipher.update(content.subarray(17, content.length - 16)), cipher.final()]);
}

export const title = (tenant, chat) => chat.title && opened(tenant, "chats|title", chat.id, chat.title).toString();
export const parts = (tenant, message) => decode(opened(tenant, "messages|content", message.id, message.content));

export const globalId = (prefix, id) => `${prefix}_${id.replaceAll("-", "")}`;
