// The subscription that both drivers follow, and what they tell of its events.
export const RUN_EVENTS = `
  subscription RunEvents($runId: ID!, $after: Seq) {
    runEvents(runId: $runId, after: $after) {
      __typename
      runId
      seq
      ... on TextDelta { partId offset text }
      ... on RunFinished { run { id status stopReason } }
    }
  }
`;

export function summary(events) {
  return {
    seqs: events.map((event) => event.seq),
    types: events.map((event) => event.__typename),
    text: events.map((event) => event.text ?? '').join(''),
    status: events.at(-1)?.run?.status ?? null,
  };
}
