import { useRef } from 'preact/hooks';
import { sorted, type Order, type Service } from './board.ts';

/** How often services may change places, in milliseconds. */
const reorder = 5000;

/**
 * Sorts, but lets nothing jump away: the order is made anew when what is asked
 * changes, else at most every five seconds and never while the pointer or the
 * focus is inside.
 */
export function useSteadyOrder(services: Service[], order: Order, area?: { current: HTMLElement | null }): Service[] {
  const kept = useRef<{ key: string; at: number; ranks: Map<string, number> }>({ key: '', at: 0, ranks: new Map() });
  const key = order + ' ' + services.length;
  const now = Date.now();
  const busy = area?.current?.matches(':hover, :focus-within') ?? false;
  if (kept.current.key !== key || (now - kept.current.at > reorder && !busy)) {
    kept.current = { key, at: now, ranks: new Map(sorted(services, order).map((s, i) => [s.name, i])) };
  }
  const ranks = kept.current.ranks;
  if (services.some((s) => !ranks.has(s.name))) return sorted(services, order);
  return [...services].sort((a, b) => ranks.get(a.name)! - ranks.get(b.name)!);
}
