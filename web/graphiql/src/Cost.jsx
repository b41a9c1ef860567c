// The line below the answer: what the operation in the editor may cost, asked for while it is written, and what the last one did cost.
import { parseJSONC, useGraphiQL } from '@graphiql/react';
import { parse } from 'graphql';
import { useEffect, useState } from 'react';

import { ask, spent } from './fetcher.js';
import { useSignal } from './signals.js';

const PAUSE_MS = 400;
const MOST_KEPT = 100;
const QUERY = `query Cost($document: String!, $operationName: String, $variables: JSON) {
  documentCost(document: $document, operationName: $operationName, variables: $variables) { refusal cost }
  apiInfo { limits { maxCost } }
}`;

const kept = new Map();
const numbers = new Intl.NumberFormat('en');
const points = (count) => `${numbers.format(count)} ${count === 1 ? 'point' : 'points'}`;

function objectOf(text) {
  try {
    return parseJSONC(text || '{}') ?? {};
  } catch {
    return {};
  }
}

function isWhole(document) {
  try {
    parse(document);
    return true;
  } catch {
    return false;
  }
}

/** What the operation may cost. Asking is charged like a document that nobody knows, so nothing is asked twice. */
async function appraised(key, headers) {
  if (!kept.has(key)) {
    const [document, operationName, variables] = JSON.parse(key);
    const data = await ask(QUERY, { document, operationName, variables: objectOf(variables) }, objectOf(headers));
    if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value);
    kept.set(key, { ...data.documentCost, limit: data.apiInfo.limits.maxCost });
  }
  return kept.get(key);
}

/** What was told last, and whether it is of what is written now. */
function useAppraisal() {
  const { query, variables, headers } = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex]);
  const operationName = useGraphiQL((state) => state.operationName) ?? null;
  const key = JSON.stringify([query, operationName, variables]);
  const [{ of, told }, tell] = useState({ of: null, told: null });

  useEffect(() => {
    let isLate = false;
    const timer = setTimeout(async () => {
      const found = query && isWhole(query) ? await appraised(key, headers).catch((error) => ({ failure: error.message })) : null;
      if (!isLate) tell({ of: key, told: found });
    }, PAUSE_MS);
    return () => {
      isLate = true;
      clearTimeout(timer);
    };
  }, [query, key, headers]);
  return [told, of !== key];
}

function Appraisal({ told }) {
  if (!told) return <span>Its cost is told when the operation is whole.</span>;
  if (told.failure) return <span className="penny-refused">Its cost is not known: {told.failure}</span>;
  if (told.cost === null) return <span className="penny-refused">It would not run: {told.refusal}</span>;
  return (
    <>
      <meter min="0" max={told.limit} high={told.limit} value={told.cost} aria-hidden="true" />
      <span className={told.refusal ? 'penny-refused' : undefined}>
        {told.refusal ? `It would not run: ${told.refusal}` : `It costs at most ${numbers.format(told.cost)} of ${points(told.limit)}.`}
      </span>
    </>
  );
}

export function Cost() {
  const [told, isOld] = useAppraisal();
  const last = useSignal(spent);
  return (
    <div className="penny-cost">
      <div role="status" aria-label="Cost before it is sent" aria-busy={isOld}>
        <Appraisal told={told} />
      </div>
      <div role="status" aria-label="Cost of the last run">
        {last && `The last run cost ${points(last.actual)} of ${numbers.format(last.requested)} charged.`}
        {last && last.left >= 0 && ` You have ${numbers.format(last.left)} left.`}
      </div>
    </div>
  );
}
