// Lines over the last two minutes, and the small ones without axes. Drawn as
// SVG that stretches; its text is HTML, so that it does not.

import { useState } from 'preact/hooks';
import { nice } from './board.ts';
import { clock } from './format.ts';
import { useWords } from './words.ts';

/** A value at a moment (Unix milliseconds). */
export interface Sample {
  at: number;
  value: number;
}

/** What a chart shows. */
export const span = 120_000;
const width = 1200;
const height = 100;
/** Two samples further apart than this are not joined. */
const gap = 3500;

interface Drawn {
  line: string;
  area: string;
}

function draw(samples: Sample[], end: number, top: number): Drawn {
  let line = '';
  let area = '';
  let started = -1;
  let last = 0;
  const x = (at: number) => Math.round(((at - end + span) / span) * width * 10) / 10;
  const y = (value: number) => Math.round((height - (Math.min(value, top) / top) * height) * 10) / 10;
  const close = () => {
    if (started >= 0) area += `L${x(last)} ${height}L${x(started)} ${height}Z`;
  };
  for (const s of samples) {
    if (s.at < end - span - 1000) continue;
    const joined = started >= 0 && s.at - last <= gap;
    if (!joined) {
      close();
      started = s.at;
    }
    const point = `${joined ? 'L' : 'M'}${x(s.at)} ${y(s.value)}`;
    line += point;
    area += point;
    last = s.at;
  }
  close();
  return { line, area };
}

/** One line with its axis. The pointer reads values off; a screen reader gets the summary. */
export function Chart(props: {
  label: string;
  samples: Sample[];
  end: number;
  format(value: number): string;
  /** The axis reaches at least this high. */
  least: number;
  tone?: 'bad' | 'plain';
  hover: number | null;
  onHover(at: number | null): void;
}) {
  const { say } = useWords();
  const { samples, end } = props;
  const values = samples.map((s) => s.value);
  const top = nice(Math.max(props.least, ...values) * 1.05);
  const { line, area } = draw(samples, end, top);
  const now = values.at(-1) ?? 0;
  const summary = say('chartOf', {
    what: props.label,
    now: props.format(now),
    least: props.format(values.length ? Math.min(...values) : 0),
    most: props.format(values.length ? Math.max(...values) : 0),
  });
  const near = props.hover === null ? undefined : nearest(samples, props.hover);
  const left = near && ((near.at - end + span) / span) * 100;
  const move = (e: PointerEvent) => {
    const box = (e.currentTarget as Element).getBoundingClientRect();
    props.onHover(end - span + ((e.clientX - box.left) / box.width) * span);
  };
  return (
    <div class={`chart ${props.tone ?? 'plain'}`}>
      <svg onPointerMove={move} onPointerLeave={() => props.onHover(null)} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={summary}>
        <path class="grid" d={`M0 0.5H${width}M0 50H${width}M${width / 2} 0V${height}`} />
        <path class="area" d={area} />
        <path class="line" d={line} />
        <path class="base" d={`M0 ${height}H${width}`} />
      </svg>
      <span class="axis high">{props.format(top)}</span>
      <span class="axis half">{props.format(top / 2)}</span>
      <div class="when" aria-hidden="true">
        <span>{say('minutesAgo', { n: 2 })}</span>
        <span>{say('minutesAgo', { n: 1 })}</span>
        <span>{say('now')}</span>
      </div>
      <div class="readings" aria-hidden="true">
        {near && left !== undefined && left >= 0 && (
          <div class={`reading ${left > 60 ? 'to-left' : ''}`} style={{ left: `${left}%` }}>
            <span>
              {clock(near.at)} <b>{props.format(near.value)}</b>
            </span>
          </div>
        )}
      </div>
    </div>
  );
}

function nearest(samples: Sample[], at: number): Sample | undefined {
  let best: Sample | undefined;
  for (const s of samples) if (!best || Math.abs(s.at - at) < Math.abs(best.at - at)) best = s;
  return best;
}

/** A pointer over one chart is shown in all that share this. */
export function useHover(): { hover: number | null; onHover(at: number | null): void } {
  const [hover, onHover] = useState<number | null>(null);
  return { hover, onHover };
}

/** A minute of requests a second, without axes; decoration beside the number. */
export function Sparkline({ values }: { values: number[] }) {
  const top = Math.max(1, ...values);
  const step = 60 / 59;
  const offset = 60 - values.length;
  let line = '';
  values.forEach((v, i) => {
    line += `${i ? 'L' : 'M'}${Math.round((offset + i) * step * 10) / 10} ${Math.round((19 - (v / top) * 18) * 10) / 10}`;
  });
  const first = Math.round(offset * step * 10) / 10;
  return (
    <svg class="spark" viewBox="0 0 60 20" preserveAspectRatio="none" aria-hidden="true">
      {line && <path class="area" d={`${line}L60 20L${first} 20Z`} />}
      <path class="line" d={line} />
    </svg>
  );
}
