// Routes by precedence, and what would happen to a request.

import { useEffect, useState } from 'preact/hooks';
import { act, usePoll } from '../api.ts';
import { count, percent, rate } from '../format.ts';
import { board } from '../live.ts';
import { At, Empty, Facts, FilterBox, Mark, Scroll, Section, Title } from '../parts.tsx';
import { href, place, setQuery } from '../router.ts';
import { useStore } from '../store.ts';
import { useWords, type Word } from '../words.ts';

/** A route of GET /v1/routes. */
export interface RouteInfo {
  name: string;
  at?: string;
  methods?: string[];
  hosts?: string[];
  path: string;
  if?: string[];
  filters: string[] | null;
  service?: string;
}

interface Explanation {
  verdict: string;
  status?: number;
  reason?: string;
  detail?: string;
  allow?: string;
  route?: string;
  at?: string;
  why?: string[];
  not?: { route: string; at?: string; because: string }[];
  canonical?: string;
  readings?: string;
  params?: Record<string, string>;
  listener: string;
  client: string;
  filters?: string[];
  service?: string;
  endpoints?: number;
  timeout?: string;
  try_timeout?: string;
  connect_timeout?: string;
}

/** How many routes are drawn at first, and more at a time. */
const page = 200;

export function Routes() {
  const { say, lang } = useWords();
  const { query } = useStore(place);
  const text = query.get('q') ?? '';
  const version = useStore(board)?.config_version ?? 0;
  const { data, problem, again } = usePoll<RouteInfo[]>('/v1/routes', 0);
  const [most, setMost] = useState(page);
  useEffect(() => {
    if (version > 0 && data) again();
  }, [version]);
  const all = data ?? [];
  const list = matching(all, text);
  const rates = new Map((useStore(board)?.routes ?? []).map((r) => [r.name, r]));
  return (
    <>
      <Title text={say('routes')}>
        <div class="tools">
          <FilterBox value={text} hint={say('routeFilterHint')} onInput={(q) => setQuery({ q })} />
        </div>
      </Title>
      <Explain />
      {problem && !data ? (
        <Empty title={say('cannotLoad', { why: problem.message })} kind="warn" />
      ) : (
        <>
          <p class="note" role="status">
            {data ? say('routeCount', { n: count(lang, list.length), all: count(lang, all.length) }) : say('loading')}
          </p>
          {data && list.length === 0 && <Empty title={say('noRouteMatch', { text })} />}
          {list.length > 0 && (
            <Scroll label={say('routes')}>
              <table class="wide">
                <thead>
                  <tr>
                    <th scope="col">{say('route')}</th>
                    <th scope="col">{say('match')}</th>
                    <th scope="col">{say('filters')}</th>
                    <th scope="col">{say('service')}</th>
                    <th scope="col" class="num">
                      {say('requestsPerSecond')}
                    </th>
                    <th scope="col" class="num">
                      {say('errorShare')}
                    </th>
                    <th scope="col">{say('placeInFile')}</th>
                  </tr>
                </thead>
                <tbody>
                  {list.slice(0, most).map((r) => {
                    const now = rates.get(r.name);
                    return (
                      <tr key={r.name}>
                        <th scope="row">{r.name}</th>
                        <td class="match">
                          <Match route={r} />
                        </td>
                        <td class="words">{r.filters?.length ? r.filters.join(' › ') : <span class="note">–</span>}</td>
                        <td>{r.service ? <a href={href(['services', r.service])}>{r.service}</a> : <span class="note">{say('answersItself')}</span>}</td>
                        <td class="num">{rate(lang, now?.rps ?? 0)}</td>
                        <td class="num">{percent(lang, now?.error_percent ?? 0)}</td>
                        <td>
                          <At place={r.at} />
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </Scroll>
          )}
          {list.length > most && (
            <p class="buttons">
              <button type="button" onClick={() => setMost(most + page)}>
                {say('showMore', { n: Math.min(page, list.length - most) })}
              </button>
            </p>
          )}
        </>
      )}
    </>
  );
}

/** Routes that have every word of the text somewhere. */
function matching(list: RouteInfo[], text: string): RouteInfo[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return list;
  return list.filter((r) => {
    const all = [r.name, r.path, r.service, r.at, ...(r.methods ?? []), ...(r.hosts ?? []), ...(r.if ?? []), ...(r.filters ?? [])].join(' ').toLowerCase();
    return words.every((w) => all.includes(w));
  });
}

function Match({ route: r }: { route: RouteInfo }) {
  const { say } = useWords();
  return (
    <>
      <span class="methods">{r.methods?.join(' ') || say('anyMethod')}</span>
      <code>
        {r.hosts?.join(', ')}
        {r.path}
      </code>
      {r.if?.map((p) => (
        <span key={p} class="note">
          {p}
        </span>
      ))}
    </>
  );
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

function Explain() {
  const { say } = useWords();
  const start = place.get().query;
  const listeners = usePoll<{ name: string }[]>('/v1/listeners', 0).data ?? [];
  const [method, setMethod] = useState(start.get('method') ?? 'GET');
  const [url, setURL] = useState(start.get('url') ?? '');
  const [headers, setHeaders] = useState('');
  const [listener, setListener] = useState('');
  const [answer, setAnswer] = useState<Explanation | null>(null);
  const [fault, setFault] = useState('');
  const submit = async (e: Event) => {
    e.preventDefault();
    setQuery({ method: method === 'GET' ? '' : method, url });
    try {
      const pairs = headers
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean)
        .map((line) => {
          const colon = line.indexOf(':');
          return colon < 0 ? [line, ''] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
        });
      setAnswer((await act('POST', '/v1/explain', { method, url, headers: pairs, listener })) as Explanation);
      setFault('');
    } catch (e) {
      setAnswer(null);
      setFault((e as Error).message);
    }
  };
  return (
    <Section title={say('explain')} id="explain" note={say('explainHint')} class="card explain">
      <form onSubmit={submit}>
        <label class="field">
          <span>{say('method')}</span>
          <select value={method} onChange={(e) => setMethod((e.target as HTMLSelectElement).value)}>
            {methods.map((m) => (
              <option key={m}>{m}</option>
            ))}
          </select>
        </label>
        <label class="field grow">
          <span>{say('url')}</span>
          <input required value={url} placeholder="/auctions/7" spellcheck={false} autocomplete="off" onInput={(e) => setURL((e.target as HTMLInputElement).value)} />
        </label>
        {listeners.length > 1 && (
          <label class="field">
            <span>{say('listener')}</span>
            <select value={listener} onChange={(e) => setListener((e.target as HTMLSelectElement).value)}>
              <option value="">–</option>
              {listeners.map((l) => (
                <option key={l.name}>{l.name}</option>
              ))}
            </select>
          </label>
        )}
        <label class="field grow">
          <span>{say('headersField')}</span>
          <textarea rows={1} value={headers} placeholder="Accept: */*" spellcheck={false} onInput={(e) => setHeaders((e.target as HTMLTextAreaElement).value)} />
        </label>
        <button type="submit" class="primary">
          {say('explainDo')}
        </button>
      </form>
      <div aria-live="polite">
        {fault && (
          <p class="callout bad">
            <Mark kind="bad" />
            {fault}
          </p>
        )}
        {answer && <Answer x={answer} />}
      </div>
    </Section>
  );
}

function Answer({ x }: { x: Explanation }) {
  const { say } = useWords();
  const found = x.verdict === 'found';
  const params = Object.entries(x.params ?? {});
  return (
    <div class="answer">
      <Facts
        rows={[
          [
            say('verdict'),
            <span class={`tag ${found ? 'good' : 'warn'}`}>
              <Mark kind={found ? 'good' : 'warn'} />
              {say(`verdict.${x.verdict}` as Word)}
            </span>,
          ],
          x.route ? [say('route'), <Named name={x.route} at={x.at} />] : false,
          !!x.why?.length && [say('because'), x.why.join(', ')],
          !!x.status && [say('answered'), [x.status, x.reason, x.detail, x.allow && `Allow: ${x.allow}`].filter(Boolean).join(' · ')],
          !!x.canonical && [say('pathRead'), <code>{x.canonical}</code>],
          !!x.readings && [say('readings'), <code>{x.readings}</code>],
          params.length > 0 && [say('parameters'), <code>{params.map(([k, v]) => `${k} = ${v}`).join(', ')}</code>],
          found && [say('filters'), x.filters?.length ? x.filters.join(' › ') : say('none')],
          !!x.service && [
            say('service'),
            <>
              <a href={href(['services', x.service])}>{x.service}</a> <span class="note">{say('endpointsNow', { n: x.endpoints ?? 0 })}</span>
            </>,
          ],
          !!x.try_timeout && [say('timeouts'), say('timeoutsLine', { all: x.timeout && x.timeout !== '0s' ? x.timeout : say('none'), try: x.try_timeout, connect: x.connect_timeout ?? '' })],
        ]}
      />
      {x.not && x.not.length > 0 && (
        <>
          <h3>{say('notThese')}</h3>
          <ul class="plain-list">
            {x.not.map((n) => (
              <li key={n.route}>
                <Named name={n.route} at={n.at} />
                <span>{n.because}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function Named({ name, at }: { name: string; at?: string | undefined }) {
  return (
    <span>
      <a href={href(['routes'], { q: name })}>{name}</a> <At place={at} />
    </span>
  );
}
