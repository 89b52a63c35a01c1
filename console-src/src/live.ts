// The board, live: one stream for all pages, opened again when it breaks, closed
// while nobody looks.

import { Problem, request, signIn, token } from './api.ts';
import type { Board } from './board.ts';
import { EventReader, pause } from './events.ts';
import { Store } from './store.ts';

/** How the stream is: 'stale' since a moment when nothing has come for a while. */
export type Link = { state: 'connecting' } | { state: 'live' } | { state: 'stale'; since: number };

export const board = new Store<Board | null>(null);
/** Why the gateway refuses the stream, in its words; '' while it does not. */
export const refusal = new Store<string>('');
export const link = new Store<Link>({ state: 'connecting' });

/** One second of a service, as this page has seen it. */
export interface ServiceMoment {
  at: number;
  rps: number;
  error_percent: number;
  p99_ms: number;
}

const keptMoments = 120;
const moments = new Map<string, ServiceMoment[]>();

/** What this page has seen of a service, at most two minutes. */
export function seen(service: string): ServiceMoment[] {
  return moments.get(service) ?? [];
}

function remember(b: Board): void {
  const names = new Set<string>();
  for (const s of b.services ?? []) {
    names.add(s.name);
    let list = moments.get(s.name);
    if (!list) moments.set(s.name, (list = []));
    if (list.at(-1)?.at === b.at) continue;
    list.push({ at: b.at, rps: s.rps, error_percent: s.error_percent, p99_ms: s.p99_ms });
    if (list.length > keptMoments) list.shift();
  }
  for (const name of moments.keys()) if (!names.has(name)) moments.delete(name);
}

/** Nothing for so long means stale: the server sends each second. */
const patience = 4000;
/** A page that nobody has seen for so long lets the stream go: a browser opens only six connections to one host, for all its tabs. */
const unseen = 3000;

let heard = 0;
let left = false;
let current: AbortController | null = null;
let wake: (() => void) | null = null;

function hear(): void {
  heard = Date.now();
  if (link.get().state !== 'live') link.set({ state: 'live' });
}

async function read(stop: AbortController): Promise<void> {
  const answer = await request('/v1/board/stream', { signal: stop.signal, headers: { Accept: 'text/event-stream' } });
  refusal.set('');
  const reader = new EventReader();
  const text = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await text.read();
    if (done) return;
    for (const event of reader.push(value)) {
      hear();
      if (event.name !== 'board') continue;
      const b = JSON.parse(event.data) as Board;
      remember(b);
      board.set(b);
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

async function follow(): Promise<void> {
  for (let tries = 0; ; ) {
    const began = Date.now();
    current = new AbortController();
    try {
      await read(current);
    } catch (e) {
      // What broke on the way is told by "stale since", and the next try finds out more.
      if (e instanceof Problem && e.status !== 401) refusal.set(e.message);
    }
    current = null;
    if (left || document.hidden || signIn.get()) await sleep(3_600_000);
    tries = heard >= began ? 0 : tries + 1;
    await sleep(pause(tries));
  }
}

/** Follows the board for the life of the page. */
export function startLive(): void {
  let hiding = 0;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = window.setTimeout(() => current?.abort(), unseen);
    else if (!current) wake?.();
  });
  // A page that is left may be kept, with its connection, for the way back.
  window.addEventListener('pagehide', () => {
    left = true;
    current?.abort();
  });
  window.addEventListener('pageshow', () => {
    left = false;
    if (!current) wake?.();
  });
  token.subscribe(() => {
    current?.abort();
    wake?.();
  });
  window.setInterval(() => {
    if (link.get().state === 'live' && Date.now() - heard > patience) {
      link.set({ state: 'stale', since: heard });
      current?.abort();
    }
  }, 500);
  void follow();
}
