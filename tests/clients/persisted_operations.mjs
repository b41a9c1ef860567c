// What the small client of the tests of persisted documents sends.
export const VIEWER = 'query Viewer { viewer { user { ...Named } } } fragment Named on User { id name }';
export const RUN_EVENTS = 'subscription RunEvents($runId: ID!) { runEvents(runId: $runId) { __typename seq } }';
