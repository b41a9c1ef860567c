// The saved examples: each `examples/*.graphql`, in the order of their names, with the variables of the same name. Those that need the id of
// a chat or a run are given the one that an earlier answer told.
const operations = import.meta.glob('./examples/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob('./examples/*.json', { query: '?raw', import: 'default', eager: true });

export const examples = Object.keys(operations)
  .sort()
  .map((path) => ({
    title: titleOf(operations[path]),
    query: operations[path],
    variables: variables[path.replace('.graphql', '.json')] ?? '',
  }));

/** The first line of an example says what it does. */
function titleOf(query) {
  return query.slice(2, query.indexOf('\n')).replace(/[.:]$/, '');
}

const known = {};

/** Keeps the ids that examples after this one need. */
export function remember(data) {
  known.chatId = data?.chatCreate?.chat?.id ?? known.chatId;
  known.runId = data?.messageSend?.runs?.[0]?.id ?? known.runId;
}

/** Variables with the ids that are known, where they have none. */
export function filled(text) {
  return text.replace(/"(chatId|runId)": ""/g, (whole, name) => (known[name] ? `"${name}": "${known[name]}"` : whole));
}
