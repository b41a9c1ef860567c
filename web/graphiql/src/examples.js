// The tabs that a new visitor finds: each `examples/*.graphql`, in the order of their names, with the variables of the same name.
const operations = import.meta.glob('./examples/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob('./examples/*.json', { query: '?raw', import: 'default', eager: true });

export const examples = Object.keys(operations)
  .sort()
  .map((path) => ({ query: operations[path], variables: variables[path.replace('.graphql', '.json')] ?? '' }));
