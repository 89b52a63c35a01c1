import { render } from 'preact';
import { App } from './app.tsx';
import { startLive } from './live.ts';
import { startRouter } from './router.ts';
import './style.css';
import { applyTheme } from './theme.ts';
import { language } from './words.ts';

applyTheme();
document.documentElement.lang = language.get();
startRouter();
startLive();
render(<App />, document.body);
