// Overview: how it goes now, and what is wrong.

import { useMemo } from 'preact/hooks';
import { health, healthColour, largest, radius, troubles, wrongs, type Board, type Service, type Trouble } from '../board.ts';
import { Chart, Sparkline, useHover, type Sample } from '../chart.tsx';
import { configuration } from '../config.tsx';
import { age, clock, count, duration, percent, rate } from '../format.ts';
import { useSteadyOrder } from '../order.ts';
import { BreakerState, Empty, Health, Mark, Scroll, Section, Title } from '../parts.tsx';
import { href } from '../router.ts';
import { useStore } from '../store.ts';
import { useWords, type Say, type Word } from '../words.ts';
import type { Language } from '../format.ts';

export function Overview({ board }: { board: Board }) {
  const { say, lang } = useWords();
  return (
    <>
      <Title text={say('overview')} />
      <Now board={board} />
      <div class="two">
        <Section title={say('wrongNow')} id="wrong" class="wrong-section">
          <WrongNow board={board} />
        </Section>
        <Section title={say('atAGlance')} id="glance" note={say('glanceHint')}>
          <Glance services={board.services ?? []} />
        </Section>
      </div>
      <Busiest services={board.services ?? []} />
      <History board={board} say={say} lang={lang} />
    </>
  );
}

/** Four numbers, three of them with their last two minutes. */
function Now({ board }: { board: Board }) {
  const { say, lang } = useWords();
  const { hover, onHover } = useHover();
  const t = board.totals;
  const history = board.history ?? [];
  const end = history.at(-1)?.at ?? board.at;
  const of = (key: 'rps' | 'error_percent' | 'p99_ms'): Sample[] => history.map((m) => ({ at: m.at, value: m[key] }));
  const shared = { end, hover, onHover };
  const s = board.window_s;
  return (
    <section class="now" aria-label={say('lastSeconds', { s })}>
      <div class="card figure">
        <h2>{say('requestsPerSecond')}</h2>
        <p class="number" data-figure="rps">
          {rate(lang, t.rps)}
        </p>
        <p class="note">{say('inLastSeconds', { n: count(lang, t.requests), s })}</p>
        <Chart label={say('requestsPerSecond')} samples={of('rps')} least={5} format={(v) => rate(lang, v)} {...shared} />
      </div>
      <div class="card figure">
        <h2>{say('errors')}</h2>
        <p class={`number ${t.errors > 0 ? 'bad' : ''}`} data-figure="errors">
          {percent(lang, t.error_percent)}
          <small> %</small>
        </p>
        <p class="note">{say('errorsInLastSeconds', { n: count(lang, t.errors), s })}</p>
        <Chart label={say('errors')} samples={of('error_percent')} least={2} tone="bad" format={(v) => percent(lang, v) + ' %'} {...shared} />
      </div>
      <div class="card figure">
        <h2>{say('latency')}</h2>
        <p class="number" data-figure="p99">
          <Unit text={duration(lang, t.p99_ms)} />
        </p>
        <p class="note">{say('percentiles', { p50: duration(lang, t.p50_ms), p90: duration(lang, t.p90_ms) })}</p>
        <Chart label={say('latency')} samples={of('p99_ms')} least={5} format={(v) => duration(lang, v)} {...shared} />
      </div>
    </section>
  );
}

/** A number with its unit smaller. */
export function Unit({ text }: { text: string }) {
  const space = text.indexOf(' ');
  if (space < 0) return <>{text}</>;
  return (
    <>
      {text.slice(0, space)}
      <small>{text.slice(space)}</small>
    </>
  );
}

const mostWrongs = 8;

function WrongNow({ board }: { board: Board }) {
  const { say, lang } = useWords();
  const list = wrongs(board.services ?? []);
  const refused = useStore(configuration)?.last_error;
  if (list.length === 0 && !refused) return <Empty title={say('nothingWrong')} hint={say('nothingWrongHint')} kind="good" />;
  return (
    <ul class="wrongs">
      {refused && (
        <li>
          <Mark kind="bad" />
          <div>
            <strong>{say('config')}</strong>
            <span>{refused.detail}</span>
          </div>
        </li>
      )}
      {list.slice(0, mostWrongs).map((w) => (
        <li key={w.service.name}>
          <Mark kind={w.bad ? 'bad' : 'warn'} />
          <div>
            <a href={href(['services', w.service.name])}>{w.service.name}</a>
            <span>{w.troubles.map((t) => saying(w.service, t, say, lang)).join(' · ')}</span>
          </div>
        </li>
      ))}
      {list.length > mostWrongs && (
        <li class="more">
          <a href={href(['services'])}>{say('andMore', { n: list.length - mostWrongs })}</a>
        </li>
      )}
    </ul>
  );
}

/** A trouble in words. */
export function saying(s: Service, trouble: Trouble, say: Say, lang: Language): string {
  const gaps = {
    percent: percent(lang, s.error_percent),
    out: s.endpoints_out,
    n: trouble === 'failing' ? count(lang, s.requests) : trouble === 'shedding' ? count(lang, s.counts.rejected) : s.endpoints,
    mode: say(`mode.${s.breaker.mode}` as Word),
    age: age(lang, s.source.age_s ?? 0),
    why: s.source.error ?? '',
  };
  if (trouble === 'source' && !s.source.age_s) return say('trouble.source.unknown', gaps);
  return say(`trouble.${trouble}`, gaps);
}

const mostBusy = 6;

/** The services with most traffic, in a line each. */
function Busiest({ services }: { services: Service[] }) {
  const { say, lang } = useWords();
  const list = useSteadyOrder(services, 'volume').slice(0, mostBusy);
  if (list.length === 0) return null;
  return (
    <Section title={say('busiest')} id="busiest" note={<a href={href(['services'], { sort: 'volume' })}>{say('all')}</a>}>
      <Scroll label={say('busiest')}>
        <table class="wide">
          <thead>
            <tr>
              <th scope="col">{say('service')}</th>
              <th scope="col" class="num" colSpan={2}>
                {say('requestsPerSecond')}
              </th>
              <th scope="col" class="num">
                {say('errorShare')}
              </th>
              <th scope="col" class="num">
                p50
              </th>
              <th scope="col" class="num">
                p99
              </th>
              <th scope="col">{say('breaker')}</th>
              <th scope="col">{say('endpoints')}</th>
            </tr>
          </thead>
          <tbody>
            {list.map((s) => (
              <tr key={s.name}>
                <th scope="row">
                  <Health level={health(s)} /> <a href={href(['services', s.name])}>{s.name}</a>
                </th>
                <td class="spark-cell">
                  <Sparkline values={s.rps_history ?? []} />
                </td>
                <td class="num">{rate(lang, s.rps)}</td>
                <td class={`num ${s.error_percent >= 5 ? 'bad' : ''}`}>{percent(lang, s.error_percent)}</td>
                <td class="num">{duration(lang, s.p50_ms)}</td>
                <td class="num">{duration(lang, s.p99_ms)}</td>
                <td>
                  <BreakerState breaker={s.breaker} />
                </td>
                <td class={s.endpoints_out === 0 ? '' : s.endpoints_up === 0 ? 'bad' : 'warn'}>{s.endpoints_out > 0 ? say('upOf', { up: s.endpoints_up, n: s.endpoints }) : say('upAll', { n: s.endpoints_up })}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

/** All services in one look: a circle each, always at the same place. */
function Glance({ services }: { services: Service[] }) {
  const { say, lang } = useWords();
  const named = useMemo(() => [...services].sort((a, b) => (a.name < b.name ? -1 : 1)), [services]);
  if (named.length === 0) return <Empty title={say('noServices')} />;
  const top = largest(services);
  const dense = named.length > 150 ? 'tiny' : named.length > 40 ? 'small' : 'wide';
  return (
    <ul class={`glance ${dense} ${dense === 'wide' ? 'few' : ''}`}>
      {named.map((s) => (
        <Dot key={s.name} service={s} top={top} label={`${s.name}: ${rate(lang, s.rps)}${say('perSecond')}, ${percent(lang, s.error_percent)} %`} />
      ))}
    </ul>
  );
}

function Dot({ service, top, label }: { service: Service; top: number; label: string }) {
  const level = health(service);
  const r = radius(service.rps, top, 16.5);
  const ring = troubles(service).some((t) => t !== 'failing');
  return (
    <li>
      <a href={href(['services', service.name])} aria-label={label} title={label}>
        <svg viewBox="0 0 40 40" aria-hidden="true">
          <circle class="disc" cx="20" cy="20" r={r} style={{ fill: healthColour(level) }} />
          {ring && <circle class="ring" cx="20" cy="20" r={Math.max(6, r + 2.8)} />}
        </svg>
        <span>{service.name}</span>
      </a>
    </li>
  );
}

/** The charts again, for who reads tables. */
function History({ board, say, lang }: { board: Board; say: Say; lang: Language }) {
  const history = board.history ?? [];
  const rows: { at: number; rps: number; errors: number; p99: number }[] = [];
  for (let i = history.length; i > 0; i -= 10) {
    const part = history.slice(Math.max(0, i - 10), i);
    const mean = (key: 'rps' | 'error_percent' | 'p99_ms') => part.reduce((sum, m) => sum + m[key], 0) / part.length;
    rows.push({ at: part[0]!.at, rps: mean('rps'), errors: mean('error_percent'), p99: mean('p99_ms') });
  }
  return (
    <details class="as-table">
      <summary>{say('asTable')}</summary>
      <table>
        <caption class="note">{say('average10')}</caption>
        <thead>
          <tr>
            <th scope="col">{say('time')}</th>
            <th scope="col" class="num">
              {say('requestsPerSecond')}
            </th>
            <th scope="col" class="num">
              {say('errorShare')}
            </th>
            <th scope="col" class="num">
              {say('latency')}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.at}>
              <th scope="row">{clock(r.at)}</th>
              <td class="num">{rate(lang, r.rps)}</td>
              <td class="num">{percent(lang, r.errors)}</td>
              <td class="num">{duration(lang, r.p99)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
