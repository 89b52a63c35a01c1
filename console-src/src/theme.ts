import { Store } from './store.ts';

/** Colours of the pages. */
export type Theme = 'auto' | 'light' | 'dark';

const key = 'maru.theme';

function kept(): Theme {
  const value = localStorage.getItem(key);
  return value === 'light' || value === 'dark' ? value : 'auto';
}

export const theme = new Store<Theme>(kept());

/** Chooses the colours and keeps the choice. */
export function setTheme(to: Theme): void {
  if (to === 'auto') localStorage.removeItem(key);
  else localStorage.setItem(key, to);
  theme.set(to);
  applyTheme();
}

export function applyTheme(): void {
  const root = document.documentElement;
  if (theme.get() === 'auto') delete root.dataset['theme'];
  else root.dataset['theme'] = theme.get();
}
