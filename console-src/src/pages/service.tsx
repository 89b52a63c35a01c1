// One service: its last minutes, breaker, limit, outcomes, and each endpoint with
// why it is in or out; and what an operator can do about it.

import type { ComponentChildren } from 'preact';
import { act, usePoll } from '../api.ts';
import { health, grave, troubles, unlimited, type Board, type Breaker, type Counts, type Service } from '../board.ts';
import { Chart, useHover } from '../chart.tsx';
import { ask, type Field } from '../dialog.tsx';
import { age, clock, count, duration, percent, rate } from '../format.ts';
import { seen } from '../live.ts';
import { At, BreakerState, Empty, Facts, Health, Mark, Scroll, Section, Title } from '../parts.tsx';
import { href } from '../router.ts';
import { useWords, type Say, type Word } from '../words.ts';
import { saying, Unit } from './overview.tsx';
import type { RouteInfo } from './routes.tsx';

/** GET /v1/services/NAME. */
export interface ServiceDetail {
  name: string;
  at?: string;
  endpoints?: Endpoint[];
}

export interface Endpoint {
  name: string;
  url: string;
  zone?: string;
  weight: number;
  state: 'up' | 'down' | 'ejected' | 'draining' | 'gone';
  why?: string;
  ejected?: { kind: string; detail: string; at: string; until: string; times: number };
  check?: { state: string; last_error?: string; at?: string };
  in_flight: number;
  ewma_ms: number;
  success: number;
  connections: number;
  idle: number;
  waiting: number;
  requests: number;
  errors: number;
  last_error?: string;
  last_error_at?: string;
}

export function ServicePage({ name, board }: { name: string; board: Board }) {
  const { say, lang } = useWords();
  const service = (board.services ?? []).find((s) => s.name === name);
  const detail = usePoll<ServiceDetail>(service ? `/v1/services/${encodeURIComponent(name)}` : null, 1000);
  const routes = usePoll<RouteInfo[]>('/v1/routes', 0);
  const back = <a href={href(['services'])}>{say('allServices')}</a>;
  if (!service) {
    return (
      <>
        <Title text={name} back={back} />
        <Empty title={say('noSuchService', { name })} kind="warn" />
      </>
    );
  }
  const wrong = troubles(service);
  const leading = (routes.data ?? []).filter((r) => r.service === name);
  return (
    <>
      <Title text={name} back={back}>
        <p class="states">
          <Health level={health(service)} text />
          <BreakerState breaker={service.breaker} />
          <At place={detail.data?.at} />
        </p>
      </Title>
      <ul class="wrongs inline">
        {wrong.length === 0 && ( // the line is always there, so that nothing below it jumps
          <li class="note">
            <Mark kind="good" />
            <span>{say('nothingWrong')}</span>
          </li>
        )}
        {wrong.map((trouble) => (
          <li key={trouble}>
            <Mark kind={grave(trouble) ? 'bad' : 'warn'} />
            <span>{saying(service, trouble, say, lang)}</span>
          </li>
        ))}
      </ul>
      <Charts service={service} end={board.at} window={board.window_s} />
      <Section title={say('endpoints')} id="endpoints" note={<SourceLine service={service} />}>
        <Endpoints service={name} list={detail.data?.endpoints ?? []} problem={detail.data ? undefined : detail.problem} again={detail.again} />
      </Section>
      <div class="cards">
        <BreakerCard service={service} />
        <Section title={say('outcomes')} id="outcomes" note={say('inWindow', { s: board.window_s })} class="card">
          <Outcomes counts={service.counts} />
        </Section>
        <Section title={say('limitTitle')} id="limit" class="card">
          <Facts
            rows={[
              [say('limitNow'), unlimited(service) ? say('off') : count(lang, service.limit.now)],
              [say('inFlight'), count(lang, service.in_flight)],
              [say('waiting'), `${count(lang, service.limit.waiting)} / ${count(lang, service.limit.queue)}`],
              [say('shed'), count(lang, service.limit.shed)],
            ]}
          />
        </Section>
        <Section title={say('retries')} id="retries" class="card">
          <Facts
            rows={[
              [say('retried'), count(lang, service.retried)],
              [say('budgetTaken'), count(lang, service.budget.taken)],
              [say('budgetRefused'), count(lang, service.budget.refused)],
              [say('fallbacks'), count(lang, service.fallbacks)],
            ]}
          />
        </Section>
      </div>
      <Section title={say('routesTo')} id="routes-to">
        {leading.length === 0 ? (
          <p class="note">{routes.data ? say('noRoutesTo') : say('loading')}</p>
        ) : (
          <ul class="plain-list">
            {leading.slice(0, 20).map((r) => (
              <li key={r.name}>
                <a href={href(['routes'], { q: r.name })}>{r.name}</a>
                <code>{`${r.methods?.join(' ') ?? ''} ${r.path}`.trim()}</code>
                <At place={r.at} />
              </li>
            ))}
          </ul>
        )}
      </Section>
    </>
  );
}

function Charts({ service: s, end, window }: { service: Service; end: number; window: number }) {
  const { say, lang } = useWords();
  const { hover, onHover } = useHover();
  const own = seen(s.name);
  const first = own[0]?.at ?? end;
  // What came before this page was open is known for the rate only.
  const before = (s.rps_history ?? []).map((value, i, all) => ({ at: end - (all.length - 1 - i) * 1000, value })).filter((m) => m.at < first - 500);
  const shared = { end, hover, onHover };
  return (
    <section class="now" aria-label={say('lastSeconds', { s: window })}>
      <div class="card figure">
        <h2>{say('requestsPerSecond')}</h2>
        <p class="number">{rate(lang, s.rps)}</p>
        <p class="note">{say('inLastSeconds', { n: count(lang, s.requests), s: window })}</p>
        <Chart label={say('requestsPerSecond')} samples={[...before, ...own.map((m) => ({ at: m.at, value: m.rps }))]} least={5} format={(v) => rate(lang, v)} {...shared} />
      </div>
      <div class="card figure">
        <h2>{say('errors')}</h2>
        <p class={`number ${s.errors > 0 ? 'bad' : ''}`}>
          {percent(lang, s.error_percent)}
          <small> %</small>
        </p>
        <p class="note">{say('errorsInLastSeconds', { n: count(lang, s.errors), s: window })}</p>
        <Chart label={say('errors')} samples={own.map((m) => ({ at: m.at, value: m.error_percent }))} least={2} tone="bad" format={(v) => percent(lang, v) + ' %'} {...shared} />
      </div>
      <div class="card figure">
        <h2>{say('latency')}</h2>
        <p class="number">
          <Unit text={duration(lang, s.p99_ms)} />
        </p>
        <p class="note">{say('percentiles', { p50: duration(lang, s.p50_ms), p90: duration(lang, s.p90_ms) })}</p>
        <Chart label={say('latency')} samples={own.map((m) => ({ at: m.at, value: m.p99_ms }))} least={5} format={(v) => duration(lang, v)} {...shared} />
      </div>
    </section>
  );
}

function SourceLine({ service }: { service: Service }) {
  const { say, lang } = useWords();
  const { kind, error, age_s: old } = service.source;
  return (
    <>
      {say('source')}: {kind}
      {old ? `, ${say('sourceAge', { age: age(lang, old) })}` : ''}
      {error && <b class="bad"> {error}</b>}
    </>
  );
}

const modes: Breaker['mode'][] = ['auto', 'observe', 'forced-open', 'forced-closed'];

function BreakerCard({ service }: { service: Service }) {
  const { say, lang } = useWords();
  const b = service.breaker;
  const setMode = (mode: Breaker['mode']) =>
    ask({
      title: say(`ask.${mode}`, { name: service.name }),
      text: say(`then.${mode}`, { rps: rate(lang, service.rps) }),
      verb: say(`do.${mode}`).replace('…', ''),
      note: say('forever'),
      run: async () => {
        await act('POST', `/v1/services/${encodeURIComponent(service.name)}/breaker`, { mode });
        return say('done.breaker', { name: service.name, mode: say(`mode.${mode}`) });
      },
    });
  return (
    <Section title={say('breaker')} id="breaker" class="card">
      <Facts
        rows={[
          [say('state'), <BreakerState breaker={{ ...b, mode: 'auto' }} />],
          b.state !== 'off' && [say('mode'), say(`mode.${b.mode}` as Word)],
          b.state !== 'off' && [say('breakerOpened'), `${count(lang, b.opened)} ×`],
          b.state !== 'off' && [say('breakerWait'), b.wait_ms > 0 ? duration(lang, b.wait_ms) : '–'],
        ]}
      />
      {b.state !== 'off' && (
        <div class="buttons" role="group" aria-label={say('act')}>
          {modes.map((mode) => (
            <button key={mode} type="button" aria-pressed={mode === b.mode} disabled={mode === b.mode} onClick={() => setMode(mode)}>
              {say(`do.${mode}`)}
            </button>
          ))}
        </div>
      )}
    </Section>
  );
}

const outcomes: (keyof Counts)[] = ['success', 'failure', 'timeout', 'rejected', 'short_circuited', 'bad_request', 'cancelled'];

/** Outcomes as numbers with a bar each, so that shares can be seen. */
function Outcomes({ counts }: { counts: Counts }) {
  const { say, lang } = useWords();
  const all = outcomes.reduce((sum, key) => sum + counts[key], 0);
  return (
    <dl class="bars">
      {outcomes.map((key) => (
        <div key={key} class={`bar ${key} ${counts[key] === 0 ? 'zero' : ''}`}>
          <dt>{say(`outcome.${key}`)}</dt>
          <dd>{count(lang, counts[key])}</dd>
          <span aria-hidden="true">
            <i style={{ width: `${all ? (counts[key] / all) * 100 : 0}%` }} />
          </span>
        </div>
      ))}
      <div class={`bar slow ${counts.slow === 0 ? 'zero' : ''}`}>
        <dt>{say('outcome.slow')}</dt>
        <dd>{count(lang, counts.slow)}</dd>
        <span aria-hidden="true">
          <i style={{ width: `${all ? Math.min(100, (counts.slow / all) * 100) : 0}%` }} />
        </span>
      </div>
    </dl>
  );
}

function Endpoints(props: { service: string; list: Endpoint[]; problem?: Error | undefined; again(): void }) {
  const { say } = useWords();
  if (props.problem) return <Empty title={say('cannotLoad', { why: props.problem.message })} kind="warn" />;
  if (props.list.length === 0) return <Empty title={say('noEndpoints')} />;
  return (
    <Scroll label={say('endpoints')}>
      <table class="wide endpoints">
        <thead>
          <tr>
            <th scope="col">{say('endpoint')}</th>
            <th scope="col">{say('state')}</th>
            <th scope="col" class="num">
              {say('weight')}
            </th>
            <th scope="col" class="num">
              {say('inFlight')}
            </th>
            <th scope="col" class="num">
              {say('average')}
            </th>
            <th scope="col" class="num">
              {say('success')}
            </th>
            <th scope="col" class="num">
              {say('requests')}
            </th>
            <th scope="col" class="num">
              {say('errors')}
            </th>
            <th scope="col" class="num">
              {say('connections')}
            </th>
            <th scope="col">{say('check')}</th>
            <th scope="col">{say('act')}</th>
          </tr>
        </thead>
        <tbody>
          {props.list.map((e) => (
            <EndpointRow key={e.name} service={props.service} e={e} ups={props.list.filter((x) => x.state === 'up').length} again={props.again} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function EndpointRow({ service, e, ups, again }: { service: string; e: Endpoint; ups: number; again(): void }) {
  const { say, lang } = useWords();
  const up = e.state === 'up';
  return (
    <tr class={up ? '' : 'out'}>
      <th scope="row">
        <code>{e.name}</code>
        {e.zone && <span class="note">{say('zone', { zone: e.zone })}</span>}
      </th>
      <td class="why">
        <span class={`tag ${up ? (e.why ? 'warn' : 'good') : 'bad'}`}>
          <Mark kind={up ? (e.why ? 'warn' : 'good') : 'bad'} />
          {say(`state.${e.state}` as Word)}
        </span>
        <Why e={e} say={say} />
      </td>
      <td class="num">{e.weight}</td>
      <td class="num">{count(lang, e.in_flight)}</td>
      <td class="num">{e.requests > 0 ? duration(lang, e.ewma_ms) : '–'}</td>
      <td class="num">{percent(lang, e.success * 100)} %</td>
      <td class="num">{count(lang, e.requests)}</td>
      <td class={`num ${e.errors > 0 && !up ? 'bad' : ''}`}>{count(lang, e.errors)}</td>
      <td class="num">{say('idleOf', { n: e.connections, idle: e.idle })}</td>
      <td>{checkLine(e, say)}</td>
      <td>
        <EndpointActions service={service} e={e} last={up && ups === 1} again={again} />
      </td>
    </tr>
  );
}

function checkLine(e: Endpoint, say: Say): ComponentChildren {
  if (!e.check) return <span class="note">{say('noCheck')}</span>;
  return (
    <>
      {e.check.state && say(`check.${e.check.state}` as Word)}
      {e.check.last_error && <span class="note">{[e.check.at && clock(e.check.at), e.check.last_error].filter(Boolean).join(': ')}</span>}
    </>
  );
}

/** Why an endpoint is in or out, until when, and its last error. */
function Why({ e, say }: { e: Endpoint; say: Say }) {
  const ejected = e.ejected;
  return (
    <>
      {e.why && <span>{e.why}</span>}
      {ejected && ejected.detail && !e.why?.includes(ejected.detail) && <span>{ejected.detail}</span>}
      {ejected && <span class="note">{say(ejected.times > 1 ? 'ejectedAgain' : 'ejectedUntil', { time: clock(ejected.until), n: ejected.times })}</span>}
      {e.last_error && e.last_error_at && <span class="note">{say('lastError', { time: clock(e.last_error_at), text: e.last_error })}</span>}
    </>
  );
}

type EndpointAction = 'drain' | 'eject' | 'return' | 'weight';

/** What can be done with an endpoint, by its state. */
const possible: Record<Endpoint['state'], EndpointAction[]> = {
  up: ['drain', 'eject', 'weight'],
  down: ['drain', 'weight'],
  ejected: ['return', 'drain', 'weight'],
  draining: ['return', 'weight'],
  gone: [],
};

function EndpointActions({ service, e, last, again }: { service: string; e: Endpoint; last: boolean; again(): void }) {
  const { say } = useWords();
  const fields: Partial<Record<EndpointAction, Field>> = {
    eject: {
      label: say('forHow'),
      value: '30s',
      options: [
        { value: '30s', text: say('seconds30') },
        { value: '2m', text: say('minutes2') },
        { value: '10m', text: say('minutes10') },
        { value: '1h', text: say('hour1') },
      ],
    },
    weight: { label: say('newWeight'), value: String(e.weight), min: 0, max: 1000 },
  };
  const body = (action: EndpointAction, value: string) => (action === 'eject' ? { for: value } : action === 'weight' ? { weight: Number(value) } : {});
  const question = (action: EndpointAction) =>
    ask({
      title: say(`epAsk.${action}`, { name: e.name }),
      text: say(`epThen.${action}`, { n: action === 'weight' ? e.weight : e.in_flight }),
      warning: last && (action === 'drain' || action === 'eject') ? say('epThen.last') : undefined,
      verb: say(`ep.${action}`).replace('…', ''),
      field: fields[action],
      note: action === 'drain' || action === 'weight' ? say('forever') : say('logged'),
      run: async (value) => {
        await act('POST', `/v1/services/${encodeURIComponent(service)}/endpoints/${encodeURIComponent(e.name)}/${action}`, body(action, value));
        again();
        return say(`epDone.${action}`, { name: e.name, n: value });
      },
    });
  const actions = possible[e.state] ?? [];
  return (
    <div class="row-actions">
      {actions.map((action) => (
        <button key={action} type="button" aria-label={`${say(`ep.${action}`)} ${e.name}`} onClick={() => question(action)}>
          {say(`ep.${action}`)}
        </button>
      ))}
    </div>
  );
}
