// Registry: who has registered, how long each is believed, and what an operator
// may do: drain, set a status, remove that again.

import { useState } from 'preact/hooks';
import { act, Problem, usePoll } from '../api.ts';
import { filtered } from '../board.ts';
import { ask } from '../dialog.tsx';
import { age, count, moment } from '../format.ts';
import { Empty, Facts, FilterBox, Mark, Scroll, Section, Title } from '../parts.tsx';
import { href, place, setQuery } from '../router.ts';
import { useStore } from '../store.ts';
import { useWords, type Word } from '../words.ts';

/** GET /v1/registry. */
interface Overview {
  open: boolean;
  applications: number;
  instances: number;
  by_status: Record<string, number> | null;
  renewals_last_minute: number;
  renewal_threshold: number;
  self_preservation: boolean;
  peers?: { url: string; reached: boolean; maru: boolean; waiting: number }[];
  findings?: { app?: string; id?: string; text: string; at?: string }[];
}

/** A name of GET /v1/registry/apps. */
interface App {
  name: string;
  up: number;
  total: number;
}

/** An instance of GET /v1/registry/apps/APP. */
interface Instance {
  id: string;
  url: string;
  status: string;
  override?: string;
  zone?: string;
  metadata?: Record<string, string>;
  last_renewal?: string;
  lease_deadline?: string;
  why?: string;
}

/** GET /v1/registry/apps/APP/ID: an instance with all that it registered. */
type Details = Instance & Record<string, unknown>;

export function Registry() {
  const { say, lang } = useWords();
  const { query } = useStore(place);
  const text = query.get('q') ?? '';
  const overview = usePoll<Overview>('/v1/registry', 2000);
  const apps = usePoll<{ services: App[] }>(overview.data ? '/v1/registry/apps' : null, 2000);
  if (overview.problem && !overview.data) {
    const none = overview.problem instanceof Problem && overview.problem.status === 404;
    return (
      <>
        <Title text={say('registry')} />
        <Empty title={none ? say('noRegistry') : say('cannotLoad', { why: overview.problem.message })} hint={none ? say('noRegistryHint') : ''} />
      </>
    );
  }
  const o = overview.data;
  const all = apps.data?.services ?? [];
  const list = filtered(all, text);
  const asked = query.get('app');
  const app = list.some((a) => a.name === asked) ? asked! : list[0]?.name;
  return (
    <>
      <Title text={say('registry')}>
        <div class="tools">
          <FilterBox value={text} hint={say('filterHint')} onInput={(q) => setQuery({ q })} />
        </div>
      </Title>
      {o && <State o={o} />}
      {o && apps.data && list.length === 0 && <Empty title={all.length === 0 ? say('noInstances') : say('noInstanceMatch', { text })} />}
      {apps.problem && !apps.data && <Empty title={say('cannotLoad', { why: apps.problem.message })} kind="warn" />}
      {app !== undefined && (
        <div class="registry">
          <nav class="apps card" aria-label={say('app')}>
            <ul>
              {list.map((a) => (
                <li key={a.name}>
                  <a href={href(['registry'], { ...(text && { q: text }), app: a.name })} aria-current={a.name === app ? 'true' : undefined}>
                    <span>{a.name}</span>
                    <span class={`count ${a.up === 0 ? 'bad' : a.up < a.total ? 'warn' : ''}`}>
                      {a.up < a.total && <Mark kind={a.up === 0 ? 'bad' : 'warn'} />}
                      {a.up < a.total ? say('upOf', { up: a.up, n: a.total }) : say('upAll', { n: count(lang, a.up) })}
                    </span>
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <Instances key={app} app={app} />
        </div>
      )}
    </>
  );
}

/** The registry in numbers, and what is unusual about it. */
function State({ o }: { o: Overview }) {
  const { say, lang } = useWords();
  return (
    <>
      {o.self_preservation && (
        <p class="callout warn">
          <Mark kind="warn" />
          {say('selfPreservation')}
        </p>
      )}
      {!o.open && (
        <p class="callout warn">
          <Mark kind="warn" />
          {say('notOpen')}
        </p>
      )}
      <div class="card numbers">
        <Facts
          rows={[
            [say('services'), count(lang, o.applications)],
            [say('instances'), count(lang, o.instances)],
            ...Object.entries(o.by_status ?? {}).map(([status, n]): [string, string] => [status, count(lang, n)]),
            [say('renewals'), count(lang, o.renewals_last_minute)],
            [say('threshold'), count(lang, o.renewal_threshold)],
          ]}
        />
        {o.peers && o.peers.length > 0 && (
          <ul class="plain-list" aria-label={say('peers')}>
            {o.peers.map((p) => (
              <li key={p.url}>
                <Mark kind={p.reached ? 'good' : 'bad'} />
                <code>{p.url}</code>
                <span>{say(p.reached ? 'peerReached' : 'peerLost')}</span>
                {p.waiting > 0 && <span class="note">{say('peerWaiting', { n: count(lang, p.waiting) })}</span>}
              </li>
            ))}
          </ul>
        )}
        {o.findings && o.findings.length > 0 && (
          <ul class="plain-list" aria-label={say('findings')}>
            {o.findings.map((f, i) => (
              <li key={i}>
                <Mark kind="warn" />
                <span>{[f.app, f.id].filter(Boolean).join('/')}</span>
                <span>{f.text}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </>
  );
}

function Instances({ app }: { app: string }) {
  const { say } = useWords();
  const { data, problem, again } = usePoll<{ instances: Instance[] }>(`/v1/registry/apps/${encodeURIComponent(app)}`, 1500);
  const [open, setOpen] = useState('');
  return (
    <Section title={app} id="app">
      {problem && !data && <Empty title={say('cannotLoad', { why: problem.message })} kind="warn" />}
      {data && (
        <Scroll label={app}>
          <table class="wide instances">
            <thead>
              <tr>
                <th scope="col">{say('instance')}</th>
                <th scope="col">{say('status')}</th>
                <th scope="col">{say('lease')}</th>
                <th scope="col">{say('metadata')}</th>
                <th scope="col">{say('act')}</th>
              </tr>
            </thead>
            <tbody>
              {data.instances.map((i) => (
                <Row key={i.id} app={app} i={i} open={open === i.id} onOpen={() => setOpen(open === i.id ? '' : i.id)} again={again} />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Section>
  );
}

function Row(props: { app: string; i: Instance; open: boolean; onOpen(): void; again(): void }) {
  const { say, lang } = useWords();
  const { app, i } = props;
  const up = i.status === 'UP';
  const tone = up ? 'good' : i.status === 'DOWN' ? 'bad' : 'warn';
  const meta = Object.entries(i.metadata ?? {}).filter(([k]) => k !== '@class');
  const now = Date.now();
  return (
    <>
      <tr class={up ? '' : 'out'}>
        <th scope="row">
          <button type="button" class="disclose" aria-expanded={props.open} onClick={props.onOpen}>
            <code>{i.id}</code>
          </button>
          <span class="note">{i.url}</span>
        </th>
        <td class="why">
          <span class={`tag ${tone}`}>
            <Mark kind={tone} />
            {i.status}
          </span>
          <span class="note">{i.override ? say('overridden', { status: i.override }) : i.why}</span>
        </td>
        <td>
          {i.last_renewal && say('renewedAgo', { age: age(lang, (now - Date.parse(i.last_renewal)) / 1000) })}
          {i.lease_deadline && <span class="note">{Date.parse(i.lease_deadline) > now ? say('leaseEnds', { age: age(lang, (Date.parse(i.lease_deadline) - now) / 1000) }) : say('leaseOver')}</span>}
        </td>
        <td class="meta">
          {meta.slice(0, 4).map(([k, v]) => (
            <code key={k}>
              {k}={v}
            </code>
          ))}
          {meta.length > 4 && <span class="note">{say('andMore', { n: meta.length - 4 })}</span>}
        </td>
        <td>
          <Actions app={app} i={i} again={props.again} />
        </td>
      </tr>
      {props.open && (
        <tr class="more">
          <td colSpan={5}>
            <Whole app={app} id={i.id} />
          </td>
        </tr>
      )}
    </>
  );
}

const statuses = ['OUT_OF_SERVICE', 'UP', 'DOWN', 'STARTING'];

function Actions({ app, i, again }: { app: string; i: Instance; again(): void }) {
  const { say } = useWords();
  const path = `/v1/registry/apps/${encodeURIComponent(app)}/${encodeURIComponent(i.id)}`;
  const question = (what: 'drain' | 'status' | 'remove') =>
    ask({
      title: say(`regAsk.${what}`, { name: i.id }),
      text: say(`regThen.${what}`),
      verb: say(`reg.${what}`).replace('…', ''),
      field: what === 'status' ? { label: say('newStatus'), value: statuses[0]!, options: statuses.map((s) => ({ value: s, text: s })) } : undefined,
      run: async (value) => {
        if (what === 'drain') await act('POST', path + '/drain');
        else if (what === 'status') await act('POST', path + '/status', { status: value });
        else await act('DELETE', path + '/status');
        again();
        return say(`regDone.${what}`, { name: i.id, status: value });
      },
    });
  const label = (what: 'drain' | 'status' | 'remove') => `${say(`reg.${what}` as Word)} ${i.id}`;
  return (
    <div class="row-actions">
      {i.status === 'UP' && (
        <button type="button" aria-label={label('drain')} onClick={() => question('drain')}>
          {say('reg.drain')}
        </button>
      )}
      <button type="button" aria-label={label('status')} onClick={() => question('status')}>
        {say('reg.status')}
      </button>
      {i.override && (
        <button type="button" aria-label={label('remove')} onClick={() => question('remove')}>
          {say('reg.remove')}
        </button>
      )}
    </div>
  );
}

function isPort(v: unknown): v is { number: number; enabled: boolean } {
  return typeof v === 'object' && v !== null && 'number' in v && 'enabled' in v;
}

/** What is shown in the row already. */
const shownInRow = new Set(['id', 'status', 'why', 'metadata', 'url', 'app', 'override', 'last_renewal', 'lease_deadline']);

/** All that an instance registered. */
function Whole({ app, id }: { app: string; id: string }) {
  const { say, lang } = useWords();
  const { data, problem } = usePoll<Details>(`/v1/registry/apps/${encodeURIComponent(app)}/${encodeURIComponent(id)}`, 2000);
  if (problem && !data) return <p class="note">{say('cannotLoad', { why: problem.message })}</p>;
  if (!data) return <p class="note">{say('loading')}</p>;
  const show = (v: unknown): string => {
    if (typeof v === 'string' && /^\d{4}-\d\d-\d\dT/.test(v)) return moment(lang, v);
    if (isPort(v)) return v.enabled ? String(v.number) : `${v.number}, ${say('off')}`;
    if (typeof v === 'object' && v !== null) {
      return Object.entries(v)
        .map(([k, x]) => `${k} ${String(x)}`)
        .join(', ');
    }
    return String(v);
  };
  const rows = Object.entries(data).filter(([k, v]) => !shownInRow.has(k) && v !== '' && v !== null);
  const meta = Object.entries(data.metadata ?? {});
  return (
    <div class="whole">
      <Facts rows={rows.map(([k, v]): [string, string] => [k.replace(/_s$/, ' (s)').replaceAll('_', ' '), show(v)])} />
      {meta.length > 0 && (
        <>
          <h3>{say('metadata')}</h3>
          <Facts rows={meta.map(([k, v]): [string, string] => [k, v])} />
        </>
      )}
    </div>
  );
}
