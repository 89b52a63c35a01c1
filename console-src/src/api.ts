// Calls of the admin API: the token, problem documents, polling.

import { useEffect, useState } from 'preact/hooks';
import { Store } from './store.ts';

const tokenKey = 'maru.token';

/** The bearer token; kept for this tab only. */
export const token = new Store<string>(sessionStorage.getItem(tokenKey) ?? '');

/** 'needed' when a call was refused for lack of a token, 'wrong' when the one that was sent is not it. */
export const signIn = new Store<'' | 'needed' | 'wrong'>('');

export function setToken(text: string): void {
  if (/[^\x21-\x7e]/.test(text)) {
    signIn.set('wrong'); // no header field can carry it, so it can't be the one
    return;
  }
  if (text) sessionStorage.setItem(tokenKey, text);
  else sessionStorage.removeItem(tokenKey);
  token.set(text);
  signIn.set('');
}

/** A refusal by the API, in its words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly findings: Finding[] = [],
  ) {
    super(detail);
  }
}

export interface Finding {
  file?: string;
  line?: number;
  column?: number;
  severity: string;
  code: string;
  text: string;
  fix?: string;
}

/** fetch with the token; refusals become problems, and a lack of the token asks for it. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const sent = token.get();
  if (sent) headers.set('Authorization', 'Bearer ' + sent);
  const answer = await fetch(path, { ...init, headers, cache: 'no-store' });
  if (answer.ok) return answer;
  if (answer.status === 401 && sent === token.get()) signIn.set(sent ? 'wrong' : 'needed');
  let detail = `${answer.status} ${answer.statusText}`;
  let findings: Finding[] = [];
  if (/json/.test(answer.headers.get('Content-Type') ?? '')) {
    const body = (await answer.json()) as { detail?: string; title?: string; findings?: Finding[] };
    detail = body.detail || body.title || detail;
    findings = body.findings ?? [];
  }
  throw new Problem(answer.status, detail, findings);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request(path, signal ? { signal } : {})).json() as Promise<T>;
}

/** Sends an action and gives the answer's JSON, or undefined when it has none. */
export async function act(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'Content-Type': 'application/json' };
  }
  const text = await (await request(path, init)).text();
  return text ? JSON.parse(text) : undefined;
}

/** What a poll knows: the last good answer, and the last fault if it came after. */
export interface Polled<T> {
  data?: T;
  problem?: Error;
  /** Asks again at once. */
  again(): void;
}

/** Asks for a path now and then every so many milliseconds while the page is seen; 0 asks once. */
export function usePoll<T>(path: string | null, every: number): Polled<T> {
  const [state, setState] = useState<{ path: string | null; data?: T; problem?: Error }>({ path });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    let timer = 0;
    let gone = false; // what is not there is not asked for again and again
    const ask = async () => {
      try {
        if (!document.hidden && !signIn.get()) {
          const data = await get<T>(path, stop.signal);
          setState({ path, data });
        }
      } catch (e) {
        if (stop.signal.aborted) return;
        gone = e instanceof Problem && e.status === 404;
        setState((was) => ({ path, ...(was.path === path && was.data !== undefined ? { data: was.data } : {}), problem: e as Error }));
      }
      if (every > 0 && !gone && !stop.signal.aborted) timer = window.setTimeout(ask, every);
    };
    void ask();
    const resume = token.subscribe(() => setTurn((n) => n + 1));
    return () => {
      stop.abort();
      clearTimeout(timer);
      resume();
    };
  }, [path, every, turn]);
  const again = () => setTurn((n) => n + 1);
  if (state.path !== path) return { again };
  return { ...(state.data !== undefined ? { data: state.data } : {}), ...(state.problem ? { problem: state.problem } : {}), again };
}
