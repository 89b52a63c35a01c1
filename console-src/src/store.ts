import { useEffect, useState } from 'preact/hooks';

/** A value that components follow. */
export class Store<T> {
  private listeners = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of [...this.listeners]) listener();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The store's value; the component renders again when it changes. */
export function useStore<T>(store: Store<T>): T {
  const [, turn] = useState(0);
  useEffect(() => {
    let seen = store.get();
    const look = () => {
      if (!Object.is(seen, store.get())) {
        seen = store.get();
        turn((n) => n + 1);
      }
    };
    const stop = store.subscribe(look);
    turn((n) => n + 1); // it may have changed before we listened
    return stop;
  }, [store]);
  return store.get();
}
