// Reading server-sent events from a fetch: EventSource can't send a token.

/** One event; a comment has the name ''. */
export interface ServerEvent {
  name: string;
  data: string;
}

/** Cuts a stream of text into events (HTML Living Standard §9.2.6). */
export class EventReader {
  private rest = '';
  private name = '';
  private data: string[] = [];

  /** Takes the next piece and gives the events that it completes. */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?=[^])/);
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.data.length > 0) events.push({ name: this.name || 'message', data: this.data.join('\n') });
        this.name = '';
        this.data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') this.name = value;
      else if (field === 'data') this.data.push(value);
      else if (field === '') events.push({ name: '', data: value });
    }
    return events;
  }
}

/** Milliseconds to wait before the nth try in a row: doubling from half a second to ten, spread so that tabs do not come at once. */
export function pause(tries: number, random: () => number = Math.random): number {
  const most = Math.min(10_000, 500 * 2 ** Math.min(tries, 10));
  return most / 2 + random() * (most / 2);
}
