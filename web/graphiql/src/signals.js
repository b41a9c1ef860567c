// A value that components watch: `useSignal(signal)` renders again when it is set.
import { useSyncExternalStore } from 'react';

export function signal(value) {
  const heard = new Set();
  return {
    get: () => value,
    set(next) {
      value = next;
      for (const hear of heard) hear();
    },
    hear(listener) {
      heard.add(listener);
      return () => heard.delete(listener);
    },
  };
}

export const useSignal = ({ hear, get }) => useSyncExternalStore(hear, get);
