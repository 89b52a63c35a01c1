// The frame around every page: names of the pages, state of the link, language,
// colours; and which page it is.

import { useEffect, useState } from 'preact/hooks';
import { setToken, token } from './api.ts';
import { ConfigStrip, RefusedBanner, useConfiguration } from './config.tsx';
import { Asking, Notices, SignIn } from './dialog.tsx';
import { clock, type Language } from './format.ts';
import { board, link, refusal } from './live.ts';
import { Overview } from './pages/overview.tsx';
import { Registry } from './pages/registry.tsx';
import { Routes } from './pages/routes.tsx';
import { ServicePage } from './pages/service.tsx';
import { Services } from './pages/services.tsx';
import { Views } from './pages/views.tsx';
import { Empty, Title } from './parts.tsx';
import { href, place } from './router.ts';
import { useStore } from './store.ts';
import { setTheme, theme, type Theme } from './theme.ts';
import { setLanguage, useWords } from './words.ts';

export function App() {
  const { say } = useWords();
  useConfiguration();
  return (
    <>
      <a class="skip" href="#content">
        {say('skip')}
      </a>
      <TopBar />
      <RefusedBanner />
      <main id="content" tabIndex={-1}>
        <Page />
      </main>
      <ConfigStrip />
      <Notices />
      <Asking />
      <SignIn />
    </>
  );
}

function TopBar() {
  const { say, lang } = useWords();
  const { path } = useStore(place);
  const colours = useStore(theme);
  const signedIn = useStore(token) !== '';
  const at = path[0] ?? '';
  const pages = [
    ['', say('overview')],
    ['services', say('services')],
    ['routes', say('routes')],
    ['views', say('views')],
    ['registry', say('registry')],
  ] as const;
  return (
    <header class="top">
      <a class="brand" href={href([])} aria-label="maru">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M3 10L12 4L21 10" />
          <path d="M5.5 11V19M18.5 11V19M12 11V19" />
          <path d="M3 20H21" />
        </svg>
        maru
      </a>
      <nav aria-label={say('pages')}>
        {pages.map(([name, text]) => (
          <a key={name} href={href(name ? [name] : [])} aria-current={at === name ? 'page' : undefined}>
            {text}
          </a>
        ))}
      </nav>
      <div class="top-tools">
        <LinkState />
        <label class="select quiet">
          <span class="sr">{say('language')}</span>
          <select value={lang} onChange={(e) => setLanguage((e.target as HTMLSelectElement).value as Language)}>
            <option value="en" lang="en">
              English
            </option>
            <option value="ko" lang="ko">
              한국어
            </option>
          </select>
        </label>
        <label class="select quiet">
          <span class="sr">{say('theme')}</span>
          <select value={colours} onChange={(e) => setTheme((e.target as HTMLSelectElement).value as Theme)}>
            <option value="auto">{say('themeAuto')}</option>
            <option value="light">{say('themeLight')}</option>
            <option value="dark">{say('themeDark')}</option>
          </select>
        </label>
        {signedIn && (
          <button type="button" class="quiet" onClick={() => setToken('')}>
            {say('signOut')}
          </button>
        )}
      </div>
    </header>
  );
}

/** Live or not; said aloud only when it changes. */
function LinkState() {
  const { say } = useWords();
  const now = useStore(link);
  const text = now.state === 'live' ? say('live') : now.state === 'connecting' ? say('connecting') : say('staleSince', { time: clock(now.since) });
  return (
    <p class={`link ${now.state}`} role="status" title={now.state === 'stale' ? say('staleHint') : undefined}>
      <i aria-hidden="true" />
      {text}
    </p>
  );
}

function Page() {
  const { say } = useWords();
  const { path } = useStore(place);
  const now = useStore(board);
  const [first, second] = path;
  const why = useStore(refusal);
  const late = useLate(now === null);
  if (first === 'routes' && path.length === 1) return <Routes />;
  if (first === 'views' && path.length === 1) return <Views />;
  if (first === 'registry' && path.length === 1) return <Registry />;
  const known = path.length === 0 || (first === 'services' && path.length <= 2);
  if (!known) {
    return (
      <>
        <Title text={say('notFound')} />
        <Empty title={say('notFoundHint')} />
      </>
    );
  }
  if (!now && why) {
    return (
      <>
        <Title text={say(first === 'services' ? 'services' : 'overview')} />
        <Empty title={say('cannotLoad', { why })} kind="warn" />
      </>
    );
  }
  if (!now) return late ? <p class="loading">{say('loading')}</p> : null;
  if (second !== undefined) return <ServicePage key={second} name={second} board={now} />;
  return first === 'services' ? <Services board={now} /> : <Overview board={now} />;
}

/** True once something has lasted so long that it should be said. */
function useLate(lasting: boolean): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!lasting) return;
    const timer = setTimeout(() => setLate(true), 400);
    return () => clearTimeout(timer);
  }, [lasting]);
  return lasting && late;
}
