// Views: the plan of each as a graph, with live latencies, and its calls as a table,
// the slowest first.

import { usePoll } from '../api.ts';
import { count, duration } from '../format.ts';
import { At, Choice, Empty, Facts, Mark, Scroll, Section, Title } from '../parts.tsx';
import { cut, draw, node, slowestFirst, type Plan, type PlanCall, type ViewInfo } from '../plan.ts';
import { href, place, setQuery } from '../router.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words.ts';

export function Views() {
  const { say } = useWords();
  const { query } = useStore(place);
  const { data, problem } = usePoll<ViewInfo[]>('/v1/views', 2000);
  const list = data ?? [];
  const view = list.find((v) => v.view === query.get('view')) ?? list[0];
  const client = query.get('client');
  const plan = view?.plans.find((p) => (p.client ?? '') === client) ?? view?.plans[0];
  return (
    <>
      <Title text={say('views')} />
      {problem && !data && <Empty title={say('cannotLoad', { why: problem.message })} kind="warn" />}
      {!data && !problem && <p class="loading">{say('loading')}</p>}
      {data && list.length === 0 && <Empty title={say('noViews')} hint={say('noViewsHint')} />}
      {view && plan && (
        <div class="views">
          <nav class="view-list" aria-label={say('views')}>
            <ul>
              {list.map((v) => (
                <li key={v.view}>
                  <a href={href(['views'], { view: v.view })} aria-current={v === view ? 'page' : undefined}>
                    <code>{v.view}</code>
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <PlanSection view={view} plan={plan} />
        </div>
      )}
    </>
  );
}

function PlanSection({ view, plan }: { view: ViewInfo; plan: Plan }) {
  const { say, lang } = useWords();
  const path = plan.critical_path ?? [];
  return (
    <Section title={plan.view} id="view-plan">
      {view.plans.length > 1 && (
        <Choice
          label={say('client')}
          name="client"
          value={plan.client ?? ''}
          options={view.plans.map((p) => ({ value: p.client ?? '', text: p.client || say('everyClient') }))}
          onChange={(client) => setQuery({ view: plan.view, client })}
        />
      )}
      <Facts
        rows={[
          [say('viewBudget'), plan.budget],
          [say('viewCalls'), say('atMost', { n: count(lang, plan.bounds.calls) })],
          [say('criticalPath'), path.join(' → ')],
          view.filters.length > 0 && [say('filters'), view.filters.join(' › ')],
          view.at !== undefined && [say('placeInFile'), <At place={view.at} />],
          plan.not_called !== undefined && [say('notCalled'), <NotCalled calls={plan.not_called} />],
        ]}
      />
      <Scroll label={say('planGraph')}>
        <Graph plan={plan} />
      </Scroll>
      <Calls plan={plan} />
    </Section>
  );
}

function NotCalled({ calls }: { calls: string[] }) {
  return (
    <>
      {calls.map((c) => (
        <code class="quiet not-called" key={c}>
          {c}
        </code>
      ))}
    </>
  );
}

/** The calls in columns: those of a column run side by side, after those left of them. */
function Graph({ plan }: { plan: Plan }) {
  const { say, lang } = useWords();
  const d = draw(plan);
  const pad = 8;
  const label = say('planIs', { view: plan.view, n: count(lang, plan.calls.length), path: (plan.critical_path ?? []).join(', ') });
  return (
    <svg
      class="plan"
      role="img"
      aria-label={label}
      width={d.width + 2 * pad}
      height={d.height + 2 * pad}
      viewBox={`${-pad} ${-pad} ${d.width + 2 * pad} ${d.height + 2 * pad}`}
    >
      {d.edges.map((e) => (
        <path key={e.key} class={e.critical ? 'edge critical' : 'edge'} d={e.path} />
      ))}
      {d.nodes.map(({ call, x, y, critical }) => (
        <g key={call.number} class={critical ? 'call critical' : 'call'} transform={`translate(${x} ${y})`}>
          <title>{call.call}</title>
          <rect width={node.width} height={node.height} rx="6" />
          <text x="10" y="22">
            {call.number} {cut(call.part, 26)}
          </text>
          <text class="more" x="10" y="44">
            {duration(lang, call.p50_ms)} · p95 {duration(lang, call.p95_ms)}
          </text>
          {call.failed > 0 && <circle class="failed" cx={node.width - 14} cy="14" r="5" />}
        </g>
      ))}
    </svg>
  );
}

function Calls({ plan }: { plan: Plan }) {
  const { say, lang } = useWords();
  return (
    <Scroll label={say('callsSlowestFirst')}>
      <table class="calls">
        <caption>{say('callsSlowestFirst')}</caption>
        <thead>
          <tr>
            <th scope="col">#</th>
            <th scope="col">{say('part')}</th>
            <th scope="col" class="num">
              p50
            </th>
            <th scope="col" class="num">
              p95
            </th>
            <th scope="col" class="num">
              {say('callsMade')}
            </th>
            <th scope="col" class="num">
              {say('callsFailed')}
            </th>
            <th scope="col">{say('after')}</th>
            <th scope="col">{say('onFailure')}</th>
            <th scope="col" class="num">
              {say('callsMost')}
            </th>
            <th scope="col">{say('upstreamCall')}</th>
          </tr>
        </thead>
        <tbody>
          {slowestFirst(plan.calls).map((c) => (
            <CallRow key={c.number} call={c} critical={(plan.critical_path ?? []).includes(c.number)} lang={lang} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function CallRow({ call: c, critical, lang }: { call: PlanCall; critical: boolean; lang: 'en' | 'ko' }) {
  const { say } = useWords();
  return (
    <tr>
      <td class="num">{c.number}</td>
      <th scope="row">
        {c.part} {critical && <span class="tag">{say('critical')}</span>}
      </th>
      <td class="num">{duration(lang, c.p50_ms)}</td>
      <td class="num">{duration(lang, c.p95_ms)}</td>
      <td class="num">{count(lang, c.made)}</td>
      <td class="num">
        {c.failed > 0 && <Mark kind="warn" />} {count(lang, c.failed)}
      </td>
      <td>{c.after?.join(', ') ?? <span class="note">–</span>}</td>
      <td>
        <code class="quiet">{c.class}</code>
      </td>
      <td class="num">{count(lang, c.max_calls)}</td>
      <td>
        <code class="quiet">{c.call}</code>
      </td>
    </tr>
  );
}
