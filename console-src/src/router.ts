// Pages by address: /console/services/auction?view=table.

import { Store } from './store.ts';

const root = '/console';

/** Where we are: the path below /console, and the query. */
export interface Place {
  path: string[];
  query: URLSearchParams;
}

/** A part of a path as it was before encoding; one that is no encoding stays as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function here(): Place {
  const path = location.pathname.slice(root.length).split('/').filter(Boolean).map(decoded);
  return { path, query: new URLSearchParams(location.search) };
}

export const place = new Store<Place>(here());

/** The address of a page. */
export function href(path: string[], query: Record<string, string> = {}): string {
  const search = new URLSearchParams(query).toString();
  return root + '/' + path.map(encodeURIComponent).join('/') + (search && '?' + search);
}

export function go(to: string): void {
  history.pushState(null, '', to);
  place.set(here());
  window.scrollTo(0, 0);
}

/** Changes keys of the query without a new entry in the history; '' removes one. */
export function setQuery(keys: Record<string, string>): void {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(keys)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const search = query.toString();
  history.replaceState(null, '', location.pathname + (search && '?' + search));
  place.set(here());
}

/** Takes clicks on our own links, and the browser's back and forward. */
export function startRouter(): void {
  window.addEventListener('popstate', () => place.set(here()));
  document.addEventListener('click', (e) => {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const a = (e.target as Element).closest?.('a');
    if (!a || a.target || a.origin !== location.origin || !a.pathname.startsWith(root + '/') || a.hash) return;
    e.preventDefault();
    if (a.href !== location.href) go(a.href);
  });
}
