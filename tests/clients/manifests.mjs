// The manifests of one small client, as the tools write them: Apollo's, GraphQL Code Generator's client preset, and Relay's compiler.
//
//   folder  an empty folder to work in
//   schema  path of the schema's SDL
//
// Prints `apollo`, `codegen` and `relay`, each as its tool left it in its file.
import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { drive } from './driver.mjs';
import { RUN_EVENTS, VIEWER } from './persisted_operations.mjs';

const run = promisify(execFile);
const MODULES = fileURLToPath(new URL('./node_modules', import.meta.url));

const FILES = {
  'package.json': JSON.stringify({ type: 'module' }),
  'app/operations.ts': `import { gql } from '@apollo/client';\nexport const documents = [gql\`${VIEWER}\`, gql\`${RUN_EVENTS}\`];\n`,
  'persisted-query-manifest.config.json': JSON.stringify({ documents: ['app/operations.ts'], output: 'apollo.json' }),
  'codegen.config.json': JSON.stringify({
    schema: 'schema.graphql',
    documents: ['app/operations.ts'],
    generates: { 'generated/': { preset: 'client', presetConfig: { persistedDocuments: true } } },
  }),
  'relay/operations.js': "import { graphql } from 'react-relay';\nexport const me = graphql`query operationsMeQuery { viewer { user { name } } }`;\n",
  // The compiler adds to the file, which has to be there.
  'relay.json': '{}',
  'relay.config.json': JSON.stringify({
    src: './relay',
    schema: './schema.graphql',
    language: 'javascript',
    artifactDirectory: './relay/__generated__',
    persistConfig: { file: './relay.json' },
  }),
};
const COMMANDS = [
  ['generate-persisted-query-manifest', '--config', 'persisted-query-manifest.config.json'],
  ['graphql-codegen', '--config', 'codegen.config.json'],
  ['relay-compiler', 'relay.config.json'],
];

drive(async ({ folder, schema }) => {
  for (const name of ['app', 'relay/__generated__']) await mkdir(join(folder, name), { recursive: true });
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(folder, name), text);
  await symlink(MODULES, join(folder, 'node_modules'));
  await writeFile(join(folder, 'schema.graphql'), await readFile(schema));
  for (const [command, ...words] of COMMANDS) {
    await run(process.execPath, [join(MODULES, '.bin', command), ...words], { cwd: folder });
  }
  const read = async (name) => JSON.parse(await readFile(join(folder, name), 'utf8'));
  return { apollo: await read('apollo.json'), codegen: await read('generated/persisted-documents.json'), relay: await read('relay.json') };
});
