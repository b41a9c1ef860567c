// What every driver does alike: reads its arguments, prints one line of JSON, or ends with a sentence and exit code 1.
import { setTimeout as delay } from 'node:timers/promises';

/** The arguments are one JSON object; `timeoutMs` (30 s where it is missing) bounds the whole driver. */
export async function drive(work) {
  const args = JSON.parse(process.argv[2] ?? '{}');
  const { timeoutMs = 30_000 } = args;
  const tooLate = delay(timeoutMs).then(() => {
    throw new Error(`not done within ${timeoutMs} ms`);
  });
  try {
    const outcome = await Promise.race([work(args), tooLate]);
    process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(0));
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`, () => process.exit(1));
  }
}

/** Refuses a GraphQL result that carries errors, and gives its data otherwise. */
export function dataOf(result) {
  if (result.errors?.length) throw new Error(describe(result.errors));
  return result.data;
}

/** Refuses a mutation's payload that carries typed errors, and gives the payload otherwise. */
export function payloadOf(payload) {
  if (payload.errors.length) throw new Error(describe(payload.errors));
  return payload;
}

function describe(error) {
  const many = Array.isArray(error) ? error : error?.errors;
  if (many) return many.map(describe).join('; ');
  if (error?.code && error?.reason !== undefined) return `the socket closed with ${error.code} ${error.reason}`;
  const code = error?.extensions?.code ?? error?.code;
  return [code, error?.message ?? String(error)].filter(Boolean).join(': ');
}
