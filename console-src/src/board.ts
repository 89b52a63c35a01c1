// The board as the admin API sends it each second, and what the pages conclude
// from it: how healthy a service is, how large its circle, what is wrong now.

export interface Breaker {
  state: 'closed' | 'open' | 'half-open' | 'off';
  mode: 'auto' | 'forced-open' | 'forced-closed' | 'observe';
  opened: number;
  wait_ms: number;
}

export interface Limit {
  off: boolean;
  now: number;
  in_flight: number;
  waiting: number;
  queue: number;
  shed: number;
}

export interface Counts {
  success: number;
  failure: number;
  timeout: number;
  rejected: number;
  short_circuited: number;
  bad_request: number;
  cancelled: number;
  slow: number;
}

export interface Source {
  kind: string;
  error?: string;
  age_s?: number;
}

export interface Service {
  name: string;
  rps: number;
  requests: number;
  errors: number;
  error_percent: number;
  mean_ms: number;
  p50_ms: number;
  p90_ms: number;
  p99_ms: number;
  in_flight: number;
  rps_history: number[] | null;
  breaker: Breaker;
  limit: Limit;
  budget: { taken: number; refused: number };
  retried: number;
  fallbacks: number;
  counts: Counts;
  endpoints_up: number;
  endpoints_out: number;
  endpoints: number;
  panic: boolean;
  source: Source;
}

export interface Totals {
  rps: number;
  error_percent: number;
  p50_ms: number;
  p90_ms: number;
  p99_ms: number;
  in_flight: number;
  requests: number;
  errors: number;
}

/** One second of all requests. */
export interface Moment {
  at: number;
  rps: number;
  error_percent: number;
  p99_ms: number;
}

export interface RouteRate {
  name: string;
  rps: number;
  requests: number;
  error_percent: number;
}

export interface Board {
  at: number;
  config_version: number;
  window_s: number;
  totals: Totals;
  history: Moment[] | null;
  services: Service[] | null;
  routes: RouteRate[] | null;
}

/**
 * How unwell a share of errors is, from 0 (green) over 1 (yellow) and 2 (orange)
 * to 3 (red): up to 10 % is green, 25 % yellow, 40 % orange, from 50 % on red,
 * and linear in between, as on the boards that operators know.
 */
export function unwell(errorPercent: number): number {
  const at = [10, 25, 40, 50];
  if (errorPercent <= at[0]!) return 0;
  for (let i = 1; i < at.length; i++) {
    if (errorPercent <= at[i]!) return i - 1 + (errorPercent - at[i - 1]!) / (at[i]! - at[i - 1]!);
  }
  return 3;
}

/** Health of a service, 0 to 3 as {@link unwell}: its errors, or its state when that is worse. */
export function health(s: Service): number {
  let least = 0;
  if (s.endpoints_out > 0) least = 1;
  if (s.breaker.state === 'half-open' || s.breaker.mode === 'forced-open') least = 2;
  if (s.breaker.state === 'open' || s.panic || (s.endpoints > 0 && s.endpoints_up === 0)) least = 3;
  return Math.max(least, unwell(s.error_percent));
}

/** The CSS colour of a health from 0 to 3. */
export function healthColour(level: number): string {
  const low = Math.min(2, Math.floor(level));
  const part = Math.round((level - low) * 100);
  return part === 0 ? `var(--health-${low})` : `color-mix(in oklab, var(--health-${low + 1}) ${part}%, var(--health-${low}))`;
}

/** The next of 1, 2, 5, 10, 20, … that is not below the value. */
export function nice(value: number): number {
  if (!(value > 0)) return 1;
  const ten = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 5, 10]) {
    if (value <= step * ten * 1.0000001) return step * ten;
  }
  return 10 * ten;
}

/** Requests a second of the largest circle: round, and steady for a minute. */
export function largest(services: Service[]): number {
  let most = 50;
  for (const s of services) {
    most = Math.max(most, s.rps);
    for (const v of s.rps_history ?? []) most = Math.max(most, v);
  }
  return nice(most);
}

/** Radius of a circle on a square-root scale, so that its area follows the traffic; from 4 % of the largest on, that it can be seen. */
export function radius(rps: number, top: number, most: number): number {
  const least = most * 0.04;
  return least + (most - least) * Math.sqrt(Math.min(1, Math.max(0, rps) / top));
}

/** Whether nothing bounds what is under way to the service. */
export function unlimited(s: Service): boolean {
  return s.limit.off || s.limit.now === 0;
}

/** How services can be sorted. */
export type Order = 'errors' | 'name' | 'volume' | 'p99';

export const orders: Order[] = ['errors', 'name', 'volume', 'p99'];

/** Sorts a copy: worst, busiest or slowest first; by name where that is equal. */
export function sorted(services: Service[], order: Order): Service[] {
  const byName = (a: Service, b: Service) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const compare: Record<Order, (a: Service, b: Service) => number> = {
    name: byName,
    volume: (a, b) => b.rps - a.rps,
    p99: (a, b) => b.p99_ms - a.p99_ms,
    errors: (a, b) => b.error_percent * b.rps - a.error_percent * a.rps || health(b) - health(a) || b.rps - a.rps,
  };
  return [...services].sort((a, b) => compare[order](a, b) || byName(a, b));
}

/** Services whose name has every word of the text. */
export function filtered<T extends { name: string }>(list: T[], text: string): T[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return words.length === 0 ? list : list.filter((s) => words.every((w) => s.name.toLowerCase().includes(w)));
}

/** What can be wrong with a service, worst first. */
export type Trouble = 'breaker-open' | 'no-endpoint' | 'panic' | 'failing' | 'half-open' | 'forced' | 'endpoints-out' | 'shedding' | 'source';

const severity: Record<Trouble, 'bad' | 'warn'> = {
  'breaker-open': 'bad',
  'no-endpoint': 'bad',
  panic: 'bad',
  failing: 'bad',
  'half-open': 'warn',
  forced: 'warn',
  'endpoints-out': 'warn',
  shedding: 'warn',
  source: 'warn',
};

/** Whether clients feel it. */
export function grave(trouble: Trouble): boolean {
  return severity[trouble] === 'bad';
}

/** One line of "what is wrong now": a service with its troubles, worst first. */
export interface Wrong {
  service: Service;
  troubles: Trouble[];
  bad: boolean;
}

/** Errors from which a service is listed as failing, when it has so many requests in the window that one alone says nothing. */
const failingFrom = 5;
const fewRequests = 20;

/** Everything that is wrong with a service. */
export function troubles(s: Service): Trouble[] {
  const list: Trouble[] = [];
  if (s.breaker.state === 'open') list.push('breaker-open');
  if (s.endpoints_up === 0 && (s.endpoints > 0 || s.source.error)) list.push('no-endpoint');
  if (s.panic) list.push('panic');
  // An open breaker says already how many fail.
  if (s.error_percent >= failingFrom && s.requests >= fewRequests && s.breaker.state !== 'open') list.push('failing');
  if (s.breaker.state === 'half-open') list.push('half-open');
  if (s.breaker.mode === 'forced-open' || s.breaker.mode === 'forced-closed') list.push('forced');
  if (s.endpoints_out > 0 && s.endpoints_up > 0) list.push('endpoints-out');
  if (s.counts.rejected > 0) list.push('shedding');
  if (s.source.error) list.push('source');
  return list;
}

/** What is wrong now, what clients feel first, then by failing requests. */
export function wrongs(services: Service[]): Wrong[] {
  const list: Wrong[] = [];
  for (const service of services) {
    const found = troubles(service);
    if (found.length > 0) list.push({ service, troubles: found, bad: found.some(grave) });
  }
  const failing = (w: Wrong) => w.service.error_percent * w.service.rps;
  return list.sort((a, b) => Number(b.bad) - Number(a.bad) || failing(b) - failing(a) || (a.service.name < b.service.name ? -1 : 1));
}
