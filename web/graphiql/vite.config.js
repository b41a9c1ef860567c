// How GraphiQL becomes static files: everything below /graphiql/, nothing inline, so that a strict content security policy holds.
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/graphiql/',
  worker: { format: 'es' },
  build: {
    license: { fileName: 'licenses.md' },
    modulePreload: { polyfill: false },
    // The editor is one chunk of several megabytes by nature.
    chunkSizeWarningLimit: 5000,
    // "use client" at the head of a library's file speaks to servers that render React; there is none here.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
