// Services: the circle board, and the same as a table.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { filtered, health, healthColour, largest, orders, radius, troubles, unlimited, type Board, type Order, type Service } from '../board.ts';
import { Sparkline } from '../chart.tsx';
import { count, duration, percent, rate } from '../format.ts';
import { useSteadyOrder } from '../order.ts';
import { BreakerState, Choice, Empty, FilterBox, Health, Mark, Scroll, Title } from '../parts.tsx';
import { href, place, setQuery } from '../router.ts';
import { useStore } from '../store.ts';
import { useWords, type Word } from '../words.ts';

type View = 'board' | 'table';

export function Services({ board }: { board: Board }) {
  const { say, lang } = useWords();
  const { query } = useStore(place);
  const text = query.get('q') ?? '';
  const asked = query.get('sort') as Order | null;
  const order = asked && orders.includes(asked) ? asked : 'errors';
  const view: View = query.get('view') === 'table' ? 'table' : 'board';
  const all = board.services ?? [];
  const area = useRef<HTMLDivElement>(null);
  const list = useSteadyOrder(filtered(all, text), order, area);
  const top = largest(all);
  return (
    <>
      <Title text={say('services')}>
        <div class="tools">
          <FilterBox value={text} hint={say('filterHint')} onInput={(q) => setQuery({ q })} />
          <label class="select">
            <span>{say('sort')}</span>
            <select value={order} onChange={(e) => setQuery({ sort: (e.target as HTMLSelectElement).value })}>
              {orders.map((o) => (
                <option key={o} value={o}>
                  {say(`sort.${o}` as Word)}
                </option>
              ))}
            </select>
          </label>
          <Choice
            label={say('view')}
            name="view"
            value={view}
            options={[
              { value: 'board', text: say('view.board') },
              { value: 'table', text: say('view.table') },
            ]}
            onChange={(v) => setQuery({ view: v === 'board' ? '' : v })}
          />
        </div>
      </Title>
      <p class="note board-note">
        <span role="status">{say('shown', { n: count(lang, list.length), all: count(lang, all.length) })}</span>
        {view === 'board' && all.length > 0 && (
          <>
            <span>{say('scale', { n: count(lang, top) })}</span>
            <span class="legend">
              <i aria-hidden="true">
                {[0, 1, 2, 3].map((level) => (
                  <b key={level} style={{ background: healthColour(level) }} />
                ))}
              </i>
              {say('legend')}
            </span>
          </>
        )}
      </p>
      <div ref={area}>
        {list.length === 0 ? (
          <Empty title={all.length === 0 ? say('noServices') : say('noMatch', { text })} />
        ) : view === 'board' ? (
          <ul class={`board ${list.length <= few ? 'few' : ''}`}>
            {list.map((s) => (
              <Tile key={s.name} service={s} top={top} />
            ))}
          </ul>
        ) : (
          <Table services={list} />
        )}
      </div>
    </>
  );
}

/** Up to so many circles move softly. */
const few = 40;

/** Tells which tiles are on the screen: the others need not keep up. */
const visible = new WeakSet<Element>();
let watcher: IntersectionObserver | null = null;
const turns = new WeakMap<Element, () => void>();

function watch(tile: Element, turn: () => void): () => void {
  watcher ??= new IntersectionObserver(
    (entries) => {
      for (const e of entries) {
        if (e.isIntersecting) {
          visible.add(e.target);
          turns.get(e.target)?.();
        } else visible.delete(e.target);
      }
    },
    { rootMargin: '300px' },
  );
  turns.set(tile, turn);
  watcher.observe(tile);
  return () => watcher?.unobserve(tile);
}

/** A tile off the screen is drawn only each so many seconds. */
const lag = 5;

function Tile({ service, top }: { service: Service; top: number }) {
  const tile = useRef<HTMLLIElement>(null);
  const shown = useRef({ service, top, age: 0 });
  const [, turn] = useState(0);
  useEffect(() => watch(tile.current!, () => turn((n) => n + 1)), []);
  if (!tile.current || visible.has(tile.current) || ++shown.current.age >= lag) shown.current = { service, top, age: 0 };
  const { service: s, top: t } = shown.current;
  const drawn = useMemo(() => <Drawn service={s} top={t} />, [s, t]); // the same node is not looked into again
  return (
    <li ref={tile} class="tile" data-service={service.name}>
      {drawn}
    </li>
  );
}

const box = 104;

function Drawn({ service: s, top }: { service: Service; top: number }) {
  const { say, lang } = useWords();
  const level = health(s);
  const r = radius(s.rps, top, box / 2 - 6);
  const marked = troubles(s).filter((t) => t !== 'failing');
  const errorTone = s.error_percent >= 50 ? 'bad' : s.error_percent >= 10 ? 'warn' : s.error_percent > 0 ? '' : 'quiet';
  return (
    <article class={marked.length > 0 ? 'marked' : ''}>
      <h2>
        <a href={href(['services', s.name])}>{s.name}</a>
        <Health level={level} />
      </h2>
      <svg class="circle" viewBox={`0 0 ${box} ${box}`} aria-hidden="true">
        <circle class="disc" cx={box / 2} cy={box / 2} r={r} style={{ fill: healthColour(level) }} />
        {marked.length > 0 && <circle class="ring" cx={box / 2} cy={box / 2} r={Math.max(10, r + 4)} />}
      </svg>
      <p class="tile-rate">
        <b data-value="rps">{rate(lang, s.rps)}</b>
        <span>{say('perSecond')}</span>
      </p>
      <p class={`tile-errors ${errorTone}`}>
        <b>{percent(lang, s.error_percent)} %</b> {say('errorsOf')}
      </p>
      <Sparkline values={s.rps_history ?? []} />
      <dl class="tile-latency">
        <div>
          <dt>p50</dt>
          <dd>{duration(lang, s.p50_ms)}</dd>
        </div>
        <div>
          <dt>p90</dt>
          <dd>{duration(lang, s.p90_ms)}</dd>
        </div>
        <div>
          <dt>p99</dt>
          <dd>{duration(lang, s.p99_ms)}</dd>
        </div>
      </dl>
      <p class="tile-state">
        <BreakerState breaker={s.breaker} />
        {s.panic && (
          <span class="tag bad">
            <Mark kind="bad" />
            {say('panic')}
          </span>
        )}
        <span class={`tag ${s.endpoints_up === 0 && s.endpoints > 0 ? 'bad' : s.endpoints_out > 0 ? 'warn' : ''}`}>
          {s.endpoints_out > 0 || s.endpoints === 0 ? say('upOf', { up: s.endpoints_up, n: s.endpoints }) : say('upAll', { n: s.endpoints_up })}
        </span>
      </p>
      <p class="tile-limit">
        {unlimited(s) ? say('limitOff', { n: s.in_flight }) : say('limitLine', { n: s.in_flight, limit: s.limit.now })}
        {s.limit.waiting > 0 && <span> · {say('waitingLine', { n: s.limit.waiting })}</span>}
      </p>
    </article>
  );
}

function Table({ services }: { services: Service[] }) {
  const { say } = useWords();
  return (
    <Scroll label={say('services')}>
      <table class="wide services">
        <thead>
          <tr>
            <th scope="col">{say('service')}</th>
            <th scope="col">{say('health')}</th>
            <th scope="col" class="num">
              {say('requestsPerSecond')}
            </th>
            <th scope="col" class="num">
              {say('errorShare')}
            </th>
            <th scope="col" class="num">
              p50
            </th>
            <th scope="col" class="num">
              p90
            </th>
            <th scope="col" class="num">
              p99
            </th>
            <th scope="col">{say('breaker')}</th>
            <th scope="col" class="num">
              {say('inFlight')}
            </th>
            <th scope="col" class="num">
              {say('limit')}
            </th>
            <th scope="col" class="num">
              {say('waiting')}
            </th>
            <th scope="col" class="num">
              {say('endpoints')}
            </th>
          </tr>
        </thead>
        <tbody>
          {services.map((s) => (
            <Row key={s.name} service={s} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Row({ service: s }: { service: Service }) {
  const { say, lang } = useWords();
  return (
    <tr>
      <th scope="row">
        <a href={href(['services', s.name])}>{s.name}</a>
      </th>
      <td>
        <Health level={health(s)} text />
      </td>
      <td class="num">{rate(lang, s.rps)}</td>
      <td class="num">{percent(lang, s.error_percent)}</td>
      <td class="num">{duration(lang, s.p50_ms)}</td>
      <td class="num">{duration(lang, s.p90_ms)}</td>
      <td class="num">{duration(lang, s.p99_ms)}</td>
      <td>
        <BreakerState breaker={s.breaker} />
      </td>
      <td class="num">{count(lang, s.in_flight)}</td>
      <td class="num">{unlimited(s) ? say('off') : count(lang, s.limit.now)}</td>
      <td class="num">{count(lang, s.limit.waiting)}</td>
      <td class="num">{s.endpoints_out > 0 ? say('upOf', { up: s.endpoints_up, n: s.endpoints }) : s.endpoints_up}</td>
    </tr>
  );
}
