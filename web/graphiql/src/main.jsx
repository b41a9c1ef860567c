// The page: GraphiQL against PENNY's own endpoint, with examples, persisted documents and what operations cost.
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './page.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { Cost } from './Cost.jsx';
import { DOCUMENTS_PLUGIN } from './DocumentsPlugin.jsx';
import { EXAMPLES_PLUGIN } from './ExamplesPlugin.jsx';
import { examples } from './examples.js';
import { fetcher } from './fetcher.js';
import { WrappedLines } from './WrappedLines.jsx';

const plugins = [EXAMPLES_PLUGIN, explorerPlugin(), DOCUMENTS_PLUGIN, HISTORY_PLUGIN];

// Tabs and history live in the session's storage: what is typed here, a password among it, goes when the browser's tab is closed.
createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    customScalarSchemas={{ JSON: {} }}
    visiblePlugin={EXAMPLES_PLUGIN}
    defaultTabs={examples.slice(0, 1)}
    defaultEditorToolsVisibility="variables"
    storage={sessionStorage}
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
  >
    <GraphiQL.Logo>PENNY</GraphiQL.Logo>
    <GraphiQL.Footer>
      <WrappedLines />
      <Cost />
    </GraphiQL.Footer>
  </GraphiQL>,
);
