// The panel that sends persisted documents: one of the tenant's manifests, or any whose id is typed, run by nothing but the id.
import { Button, parseJSONC, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { formatError, formatResult } from '@graphiql/toolkit';
import { Kind, OperationTypeNode, parse } from 'graphql';
import { useEffect, useId, useRef, useState } from 'react';

import { filled } from './examples.js';
import { ask, byId } from './fetcher.js';

const MANIFESTS = 'query Manifests { documentManifests(first: 100) { nodes { id client version documentCount } } }';
const DOCUMENTS = `query Documents($id: ID!, $after: String) {
  node(id: $id) {
    ... on DocumentManifest {
      documents(first: 100, after: $after) { nodes { sha256 operationName body cost } pageInfo { hasNextPage endCursor } }
    }
  }
}`;

async function documentsOf(id, headers) {
  const found = [];
  for (let after = null, more = true; more; ) {
    const { documents } = (await ask(DOCUMENTS, { id, after }, headers)).node;
    found.push(...documents.nodes);
    ({ hasNextPage: more, endCursor: after } = documents.pageInfo);
  }
  return found;
}

const operationOf = (body) => parse(body).definitions.find((one) => one.kind === Kind.OPERATION_DEFINITION);

/** The variables that a document declares, to be filled in. */
function blank(body) {
  const names = operationOf(body).variableDefinitions?.map((one) => one.variable.name.value) ?? [];
  return names.length ? filled(JSON.stringify(Object.fromEntries(names.map((name) => [name, ''])), null, 2)) : '';
}

/** The manifests, and the documents of the one that is chosen; `problem` says why there are none. */
function usePublished(headersOf) {
  const [manifests, setManifests] = useState([]);
  const [documents, setDocuments] = useState([]);
  const [problem, setProblem] = useState(null);

  async function attempt(work) {
    try {
      setProblem(null);
      await work();
    } catch (error) {
      setProblem(error.message);
    }
  }
  const choose = (id) => attempt(async () => setDocuments(id ? await documentsOf(id, headersOf()) : []));
  const reload = () =>
    attempt(async () => {
      setManifests((await ask(MANIFESTS, {}, headersOf())).documentManifests.nodes);
      setDocuments([]);
    });
  return { manifests, documents, problem, choose, reload };
}

/** Runs a document into the pane of answers, and stops it; so does hiding the panel. */
function useRun(headersOf) {
  const responseEditor = useGraphiQL((state) => state.responseEditor);
  const { updateActiveTabValues } = useGraphiQLActions();
  const [running, setRunning] = useState(null);
  useEffect(() => () => running?.abort(), [running]);

  function show(response) {
    responseEditor.setValue(response);
    updateActiveTabValues({ response });
  }
  async function run(documentId, isSubscription, text) {
    const stop = new AbortController();
    setRunning(stop);
    show('');
    try {
      const variables = text.trim() ? parseJSONC(text) : {};
      for await (const result of byId({ documentId, variables }, isSubscription, headersOf(), stop.signal)) show(formatResult(result));
    } catch (error) {
      if (!stop.signal.aborted) show(formatError(error));
    }
    setRunning(null);
  }
  return { run, running };
}

function Documents() {
  const headerEditor = useGraphiQL((state) => state.headerEditor);
  const headersOf = () => (headerEditor?.getValue().trim() ? parseJSONC(headerEditor.getValue()) : {});
  const { manifests, documents, problem, choose, reload } = usePublished(headersOf);
  const { run, running } = useRun(headersOf);
  const [manifest, setManifest] = useState('');
  const [id, setId] = useState('');
  const [variables, setVariables] = useState('');
  const first = useRef(reload);
  const name = useId();
  const chosen = documents.find((one) => `sha256:${one.sha256}` === id);

  useEffect(() => void first.current(), []);

  function pick(documentId) {
    setId(documentId);
    const document = documents.find((one) => `sha256:${one.sha256}` === documentId);
    if (document) setVariables(blank(document.body));
  }

  return (
    <section className="penny-panel" aria-label="Persisted documents">
      <h2>Persisted documents</h2>
      <p>Sent by their ids alone, as published clients do. The headers of the open tab are sent along.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (running) running.abort();
          else run(id, chosen && operationOf(chosen.body).operation === OperationTypeNode.SUBSCRIPTION, variables);
        }}
      >
        <label htmlFor={`${name}manifest`}>Client and version</label>
        <div className="penny-row">
          <select
            id={`${name}manifest`}
            value={manifest}
            onChange={({ target }) => {
              setManifest(target.value);
              choose(target.value);
            }}
          >
            <option value="">{manifests.length ? 'Choose one' : 'None is published'}</option>
            {manifests.map((one) => (
              <option key={one.id} value={one.id}>
                {one.client} {one.version} ({one.documentCount})
              </option>
            ))}
          </select>
          <Button
            type="button"
            onClick={() => {
              setManifest('');
              reload();
            }}
          >
            Reload
          </Button>
        </div>
        {problem && <p className="penny-refused" role="alert">The manifests cannot be listed: {problem} An id can be typed all the same.</p>}
        <label htmlFor={`${name}document`}>Document</label>
        <select id={`${name}document`} value={chosen ? id : ''} disabled={!documents.length} onChange={({ target }) => pick(target.value)}>
          <option value="">Choose one</option>
          {documents.map((one) => (
            <option key={one.sha256} value={`sha256:${one.sha256}`}>
              {one.operationName || one.sha256.slice(0, 12)} · costs {one.cost}
            </option>
          ))}
        </select>
        <label htmlFor={`${name}id`}>Id</label>
        <input
          id={`${name}id`}
          value={id}
          required
          spellCheck="false"
          autoComplete="off"
          placeholder="sha256:…"
          onChange={({ target }) => setId(target.value.trim())}
        />
        <label htmlFor={`${name}variables`}>Variables</label>
        <textarea
          id={`${name}variables`}
          rows="6"
          value={variables}
          spellCheck="false"
          placeholder="{}"
          onChange={({ target }) => setVariables(target.value)}
        />
        <Button type="submit">{running ? 'Stop' : 'Run by id'}</Button>
      </form>
      {chosen && (
        <details open>
          <summary>What it says</summary>
          <pre tabIndex="0">{chosen.body}</pre>
        </details>
      )}
    </section>
  );
}

/** A sheet of paper with a lock's keyhole: a text that is settled. */
const Icon = (properties) => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" height="1em" {...properties}>
    <path d="M6 2.75h9l4.25 4.25v14.25H6a1.5 1.5 0 0 1-1.5-1.5V4.25A1.5 1.5 0 0 1 6 2.75Z" strokeLinejoin="round" />
    <path d="M14.75 3v4.25H19M12 15v3" strokeLinecap="round" strokeLinejoin="round" />
    <circle cx="12" cy="13" r="1.75" />
  </svg>
);

export const DOCUMENTS_PLUGIN = { title: 'Persisted documents', icon: Icon, content: Documents };
