// Every action asks first: a dialog says what will happen, the focus is on
// Cancel, Escape closes it; the result is told, a refusal in the API's words.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem, setToken, signIn, token } from './api.ts';
import { Mark } from './parts.tsx';
import { Store, useStore } from './store.ts';
import { useWords } from './words.ts';

/** One question. */
export interface Question {
  title: string;
  text: ComponentChildren;
  /** A warning that stands out. */
  warning?: string | undefined;
  /** The word on the button that does it. */
  verb: string;
  /** A choice or number to make first. */
  field?: Field | undefined;
  /** Said at the end, when it is not that the action is logged. */
  note?: string | undefined;
  /** Does it, and gives what to say then. */
  run(value: string): Promise<string>;
}

/** What a question wants to know. */
export interface Field {
  label: string;
  value: string;
  /** Choices; without them it is a number. */
  options?: { value: string; text: string }[];
  min?: number;
  max?: number;
}

const question = new Store<Question | null>(null);

/** Asks; one question at a time. */
export function ask(q: Question): void {
  question.set(q);
}

/** What was said last, for the polite live region and the eyes. */
const notice = new Store<{ text: string; n: number }>({ text: '', n: 0 });

export function tell(text: string): void {
  notice.set({ text, n: notice.get().n + 1 });
}

/** Tells what was done; it goes after a while. */
export function Notices() {
  const now = useStore(notice);
  useEffect(() => {
    if (!now.text) return;
    const timer = setTimeout(() => notice.set({ text: '', n: now.n }), 6000);
    return () => clearTimeout(timer);
  }, [now]);
  return (
    <div class="notices" role="status" aria-live="polite">
      {now.text && (
        <p key={now.n} class="notice">
          <Mark kind="good" />
          {now.text}
        </p>
      )}
    </div>
  );
}

/** The dialog of the question asked, if there is one. */
export function Asking() {
  const q = useStore(question);
  return q && <Ask key={q.title} q={q} />;
}

function Ask({ q }: { q: Question }) {
  const { say } = useWords();
  const box = useRef<HTMLDialogElement>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  const [value, setValue] = useState(q.field?.value ?? '');
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState('');
  useEffect(() => {
    box.current?.showModal();
    cancel.current?.focus();
  }, []);
  const submit = async (e: Event) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    setFault('');
    try {
      const said = await q.run(value);
      box.current?.close();
      tell(said);
    } catch (e) {
      setFault(e instanceof Problem ? e.message : String(e));
      setBusy(false);
      cancel.current?.focus();
    }
  };
  return (
    <dialog ref={box} class="dialog" aria-labelledby="ask-title" aria-describedby="ask-text" onClose={() => question.set(null)}>
      <form onSubmit={submit}>
        <h2 id="ask-title">{q.title}</h2>
        <p id="ask-text">{q.text}</p>
        {q.warning && (
          <p class="callout warn">
            <Mark kind="warn" />
            {q.warning}
          </p>
        )}
        {q.field && <FieldOf field={q.field} value={value} onChange={setValue} />}
        <p class="note">{q.note ?? say('logged')}</p>
        <div role="alert">
          {fault && (
            <p class="callout bad">
              <Mark kind="bad" />
              <span>
                <strong>{say('failed')}</strong> {fault}
              </span>
            </p>
          )}
        </div>
        <div class="buttons">
          <button type="button" ref={cancel} onClick={() => box.current?.close()}>
            {say(fault ? 'close' : 'cancel')}
          </button>
          <button type="submit" class="primary" aria-disabled={busy}>
            {busy ? say('working') : fault ? say('again') : q.verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function FieldOf({ field, value, onChange }: { field: Field; value: string; onChange(value: string): void }) {
  return (
    <label class="field">
      <span>{field.label}</span>
      {field.options ? (
        <select value={value} onChange={(e) => onChange((e.target as HTMLSelectElement).value)}>
          {field.options.map((o) => (
            <option key={o.value} value={o.value}>
              {o.text}
            </option>
          ))}
        </select>
      ) : (
        <input
          type="number"
          required
          min={field.min}
          max={field.max}
          value={value}
          onInput={(e) => onChange((e.target as HTMLInputElement).value)}
        />
      )}
    </label>
  );
}

/** Asks for the token when the API wants one. */
export function SignIn() {
  const { say } = useWords();
  const why = useStore(signIn);
  const box = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState('');
  useEffect(() => {
    if (why && !box.current?.open) box.current?.showModal();
    if (!why && box.current?.open) box.current.close();
  }, [why]);
  const stay = () => {
    if (signIn.get()) box.current?.showModal(); // there is nothing behind it
  };
  const submit = (e: Event) => {
    e.preventDefault();
    const sent = text.trim();
    if (!sent) return;
    setText('');
    if (sent === token.get()) token.set(''); // the same again is a try as well
    setToken(sent);
  };
  return (
    <dialog ref={box} class="dialog" aria-labelledby="sign-in-title" onClose={stay}>
      <form onSubmit={submit}>
        <h2 id="sign-in-title">{say('signInTitle')}</h2>
        <p>{say('signInText')}</p>
        <label class="field">
          <span>{say('token')}</span>
          <input type="password" autofocus autocomplete="current-password" value={text} onInput={(e) => setText((e.target as HTMLInputElement).value)} />
        </label>
        <div role="alert">
          {why === 'wrong' && (
            <p class="callout bad">
              <Mark kind="bad" />
              {say('tokenWrong')}
            </p>
          )}
        </div>
        <div class="buttons">
          <button type="submit" class="primary">
            {say('signIn')}
          </button>
        </div>
      </form>
    </dialog>
  );
}
