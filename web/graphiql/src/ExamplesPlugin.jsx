// The panel of saved examples: a step of a conversation each, opened in a tab.
import { StarIcon, useGraphiQL, useGraphiQLActions } from '@graphiql/react';

import { examples, filled } from './examples.js';

function Examples() {
  const { addTab, changeTab } = useGraphiQLActions();
  const { tabs, queryEditor, variableEditor } = useGraphiQL(({ tabs, queryEditor, variableEditor }) => ({ tabs, queryEditor, variableEditor }));

  function open({ query, variables }) {
    const index = tabs.findIndex((tab) => tab.query === query);
    if (index >= 0) changeTab(index);
    else {
      addTab();
      queryEditor.setValue(query);
      variableEditor.setValue(variables);
    }
    variableEditor.setValue(filled(variableEditor.getValue()));
    queryEditor.focus();
  }

  return (
    <section className="penny-panel" aria-label="Examples">
      <h2>Examples</h2>
      <p>One after the other, a conversation. Ctrl-Enter runs what is open.</p>
      <ol>
        {examples.map((example) => (
          <li key={example.title}>
            <button type="button" onClick={() => open(example)}>
              {example.title}
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

export const EXAMPLES_PLUGIN = { title: 'Examples', icon: StarIcon, content: Examples };
