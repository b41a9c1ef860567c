// The page: GraphiQL against PENNY's own endpoint, with the first steps of a conversation as its tabs.
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './page.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { examples } from './examples.js';
import { fetcher } from './fetcher.js';

const plugins = [HISTORY_PLUGIN, explorerPlugin()];

// Tabs and history live in the session's storage: what is typed here, a password among it, goes when the browser's tab is closed.
createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    defaultTabs={examples}
    defaultEditorToolsVisibility="variables"
    storage={sessionStorage}
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
  >
    <GraphiQL.Logo>PENNY</GraphiQL.Logo>
  </GraphiQL>,
);
