// Small parts that several pages use.

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Breaker } from './board.ts';
import { healthColour } from './board.ts';
import { useWords, type Word } from './words.ts';

/** Page head: title that takes the focus after a change of page, so that screen readers tell where we are. */
export function Title(props: { text: string; children?: ComponentChildren; back?: ComponentChildren }) {
  const h1 = useRef<HTMLHeadingElement>(null);
  const { say } = useWords();
  useEffect(() => {
    document.title = `${props.text} · ${say('title')}`;
  }, [props.text, say]);
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement?.closest('main, nav')) h1.current?.focus({ preventScroll: true });
  }, [props.text]);
  return (
    <header class="page-head">
      <div class="page-title">
        {props.back}
        <h1 ref={h1} tabIndex={-1}>
          {props.text}
        </h1>
      </div>
      {props.children}
    </header>
  );
}

/** A glyph of the breaker: a switch in a line, closed, open, or in between. */
export function BreakerGlyph({ state }: { state: Breaker['state'] }) {
  const arm = { closed: 'M5.5 8H10.5', open: 'M5.5 8L9.5 3.2', 'half-open': 'M5.5 8L10.2 5.4', off: '' }[state];
  return (
    <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true">
      <path d={`M0.5 8H4M12 8H15.5${arm}`} />
      <circle cx="4.8" cy="8" r="1.3" />
      <circle cx="11.2" cy="8" r="1.3" />
    </svg>
  );
}

/** State and mode of a breaker in words, with its glyph. */
export function BreakerState({ breaker }: { breaker: Breaker }) {
  const { say } = useWords();
  const tone = breaker.state === 'open' ? 'bad' : breaker.state === 'half-open' || breaker.mode.startsWith('forced') ? 'warn' : '';
  return (
    <span class={`tag ${tone}`}>
      <BreakerGlyph state={breaker.state} />
      {say(`breaker.${breaker.state}` as Word)}
      {breaker.mode !== 'auto' && breaker.state !== 'off' && <span class="tag-more"> · {say(`mode.${breaker.mode}` as Word)}</span>}
    </span>
  );
}

/** A mark beside something wrong: shape and colour say the same. */
export function Mark({ kind }: { kind: 'bad' | 'warn' | 'good' }) {
  return (
    <svg class={`mark ${kind}`} viewBox="0 0 16 16" aria-hidden="true">
      {kind === 'bad' && <path class="solid" d="M5 1H11L15 5V11L11 15H5L1 11V5Z" />}
      {kind === 'warn' && <path class="solid" d="M8 1.2L15.4 14.4H0.6Z" />}
      {kind === 'good' && <circle class="solid" cx="8" cy="8" r="7.2" />}
      {kind === 'bad' && <path class="line" d="M5.4 5.4L10.6 10.6M10.6 5.4L5.4 10.6" />}
      {kind === 'warn' && <path class="line" d="M8 5.8V9.6M8 11.7V12.3" />}
      {kind === 'good' && <path class="line" d="M4.8 8.2L7 10.4L11.2 5.8" />}
    </svg>
  );
}

/** A place in the file, without its folders; they are in the tip. */
export function At({ place }: { place?: string | undefined }) {
  if (!place) return null;
  return (
    <code class="quiet at" title={place}>
      {place.slice(place.lastIndexOf('/') + 1)}
    </code>
  );
}

/** Health as a dot with its word for screen readers and, if asked, for eyes. */
export function Health({ level, text }: { level: number; text?: boolean }) {
  const { say } = useWords();
  const word = say(`health.${Math.round(level)}` as Word);
  return (
    <span class="health">
      <svg viewBox="0 0 12 12" aria-hidden="true">
        <circle cx="6" cy="6" r="5" style={{ fill: healthColour(level) }} />
        {level >= 2.5 && <path class="line" d="M4 4L8 8M8 4L4 8" />}
      </svg>
      <span class={text ? '' : 'sr'}>{word}</span>
    </span>
  );
}

/** One choice among few, as real radio buttons. */
export function Choice<T extends string>(props: { label: string; name: string; value: T; options: { value: T; text: string }[]; onChange(value: T): void }) {
  return (
    <fieldset class="choice">
      <legend class="sr">{props.label}</legend>
      {props.options.map((o) => (
        <label key={o.value}>
          <input type="radio" name={props.name} value={o.value} checked={o.value === props.value} onChange={() => props.onChange(o.value)} />
          <span>{o.text}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** The filter box; "/" puts the focus into it. */
export function FilterBox(props: { value: string; hint: string; onInput(value: string): void }) {
  const { say } = useWords();
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      const typing = (e.target as Element).matches?.('input, textarea, select') || document.querySelector('dialog[open]');
      if (e.key !== '/' || typing || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault();
      box.current?.focus();
    };
    document.addEventListener('keydown', key);
    return () => document.removeEventListener('keydown', key);
  }, []);
  return (
    <label class="filter-box">
      <span class="sr">{say('filter')}</span>
      <input
        ref={box}
        type="search"
        value={props.value}
        placeholder={props.hint}
        spellcheck={false}
        autocomplete="off"
        onInput={(e) => props.onInput((e.target as HTMLInputElement).value)}
        onKeyDown={(e) => {
          if (e.key === 'Escape') props.onInput('');
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}

/** Pairs of name and value. */
export function Facts({ rows }: { rows: ([string, ComponentChildren] | null | false)[] }) {
  return (
    <dl class="facts">
      {rows.map(
        (row) =>
          row && (
            <div key={row[0]}>
              <dt>{row[0]}</dt>
              <dd>{row[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** A titled part of a page. */
export function Section(props: { title: string; id: string; note?: ComponentChildren; class?: string; children: ComponentChildren }) {
  return (
    <section class={`section ${props.class ?? ''}`} aria-labelledby={props.id}>
      <header class="section-head">
        <h2 id={props.id}>{props.title}</h2>
        {props.note && <p class="note">{props.note}</p>}
      </header>
      {props.children}
    </section>
  );
}

/** A table that may be wider than the screen: it scrolls by itself, with the keyboard too. */
export function Scroll(props: { label: string; children: JSX.Element }) {
  return (
    <div class="scroll" role="group" aria-label={props.label} tabIndex={0}>
      {props.children}
    </div>
  );
}

/** What stands where nothing is. */
export function Empty(props: { title: string; hint?: string; kind?: 'good' | 'warn' }) {
  return (
    <div class="empty">
      {props.kind && <Mark kind={props.kind} />}
      <p class="empty-title">{props.title}</p>
      {props.hint && <p class="note">{props.hint}</p>}
    </div>
  );
}
