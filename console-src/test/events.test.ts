import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventReader, pause } from '../src/events.ts';

const stream = 'event: board\ndata: {"a":1}\n\n: ping\n\ndata: one\ndata: two\nid: 7\n\nevent: gone\n\n';
const want = [
  { name: 'board', data: '{"a":1}' },
  { name: '', data: 'ping' },
  { name: 'message', data: 'one\ntwo' },
];

test('events are read from one piece', () => {
  assert.deepEqual(new EventReader().push(stream), want);
});

test('events are read from pieces cut anywhere, with every kind of line end', () => {
  for (const end of ['\n', '\r\n']) {
    const text = stream.replaceAll('\n', end);
    for (let size = 1; size < 9; size++) {
      const reader = new EventReader();
      const events = [];
      for (let i = 0; i < text.length; i += size) events.push(...reader.push(text.slice(i, i + size)));
      assert.deepEqual(events, want, `${JSON.stringify(end)} in pieces of ${size}`);
    }
  }
});

test('the pause doubles up to ten seconds and is spread', () => {
  assert.equal(pause(0, () => 1), 500);
  assert.equal(pause(0, () => 0), 250);
  assert.equal(pause(3, () => 1), 4000);
  assert.equal(pause(60, () => 1), 10_000);
});
