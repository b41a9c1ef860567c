// How GraphiQL becomes static files: everything below /graphiql/, nothing inline, so that a strict content security policy holds.
import { defineConfig } from 'vite';

// GraphiQL's language service asks for fields that have a default, and so underlines variables that are right.
const defaultsAreNotRequired = {
  name: 'defaults-are-not-required',
  transform(code, id) {
    if (!id.endsWith('/graphql-language-service/esm/utils/getVariablesJSONSchema.js')) return null;
    const mended = code.replace('if (fieldRequired) {', 'if (fieldRequired && field.defaultValue === undefined) {');
    if (mended === code) throw new Error('graphql-language-service has changed: does it still ask for fields with defaults?');
    return { code: mended, map: null };
  },
};

export default defineConfig({
  base: '/graphiql/',
  plugins: [defaultsAreNotRequired],
  worker: { format: 'es', plugins: () => [defaultsAreNotRequired] },
  build: {
    license: { fileName: 'licenses.md' },
    modulePreload: { polyfill: false },
    // The editor is one chunk of several megabytes by nature.
    chunkSizeWarningLimit: 5000,
    // "use client" at the head of a library's file speaks to servers that render React; there is none here.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
