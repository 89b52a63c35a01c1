// The strip about the live configuration, and the banner when a change was refused.

import { useEffect } from 'preact/hooks';
import { act, usePoll, type Finding } from './api.ts';
import { ask } from './dialog.tsx';
import { duration, moment } from './format.ts';
import { board } from './live.ts';
import { Mark } from './parts.tsx';
import { Store, useStore } from './store.ts';
import { useWords } from './words.ts';

/** GET /v1/config. */
export interface LiveConfig {
  version: number;
  hash?: string;
  loaded_at: string;
  by: string;
  took_ms: number;
  warnings?: Finding[];
  last_error: { at: string; by: string; hash?: string; detail: string; findings: Finding[] } | null;
}

export const configuration = new Store<LiveConfig | null>(null);

/** Keeps the configuration in sight: each five seconds, and at once when the board tells of a new version. */
export function useConfiguration(): void {
  const { data, again } = usePoll<LiveConfig>('/v1/config', 5000);
  const version = useStore(board)?.config_version;
  useEffect(() => {
    if (data) configuration.set(data);
  }, [data]);
  useEffect(() => {
    if (version !== undefined && configuration.get() && configuration.get()!.version !== version) again();
  }, [version]);
}

/** Tells that the last change was refused, and where it is wrong. */
export function RefusedBanner() {
  const { say, lang } = useWords();
  const config = useStore(configuration);
  const refused = config?.last_error;
  if (!refused) return null;
  return (
    <section class="banner" aria-label={say('config')}>
      <details>
        <summary>
          <Mark kind="bad" />
          <span>
            {say('lastRefused', { time: moment(lang, refused.at), version: config.version })} <b>{refused.detail}</b>
            {refused.findings[0] && <code>{at(refused.findings[0])}</code>}
          </span>
        </summary>
        <Findings list={refused.findings} />
      </details>
    </section>
  );
}

function at(f: Finding): string {
  return [f.file, f.line, f.column].filter(Boolean).join(':');
}

function Findings({ list }: { list: Finding[] }) {
  const { say } = useWords();
  if (list.length === 0) return null;
  return (
    <div class="scroll">
      <table class="findings">
        <thead>
          <tr>
            <th scope="col">{say('placeInFile')}</th>
            <th scope="col">{say('finding')}</th>
            <th scope="col">{say('fix')}</th>
          </tr>
        </thead>
        <tbody>
          {list.slice(0, 100).map((f, i) => (
            <tr key={i}>
              <td>
                <code>{at(f)}</code>
              </td>
              <td>{f.text}</td>
              <td>{f.fix}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The strip at the foot of every page. */
export function ConfigStrip() {
  const { say, lang } = useWords();
  const config = useStore(configuration);
  const reload = () =>
    ask({
      title: say('reloadTitle'),
      text: say('reloadText'),
      verb: say('reloadDo'),
      run: async () => {
        const live = (await act('POST', '/v1/config/reload')) as LiveConfig;
        configuration.set({ ...live, last_error: null });
        return say('reloaded', { version: live.version });
      },
    });
  return (
    <footer class="strip">
      <h2>{say('config')}</h2>
      {config && (
        <>
          <p>
            {say('configLine', {
              version: config.version,
              hash: config.hash ?? say('noHash'),
              time: moment(lang, config.loaded_at),
              by: config.by,
              took: duration(lang, config.took_ms),
            })}
          </p>
          {config.warnings && config.warnings.length > 0 && (
            <details>
              <summary>
                <Mark kind="warn" />
                {config.warnings.length === 1 ? say('warning1') : say('warnings', { n: config.warnings.length })}
              </summary>
              <Findings list={config.warnings} />
            </details>
          )}
          <button type="button" onClick={reload}>
            {say('reload')}
          </button>
        </>
      )}
    </footer>
  );
}
