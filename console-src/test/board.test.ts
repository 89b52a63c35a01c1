import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filtered, health, healthColour, largest, nice, radius, sorted, troubles, unwell, wrongs, type Service } from '../src/board.ts';

/** A healthy service, changed as the test says. */
function service(name: string, change: Partial<Service> = {}): Service {
  return {
    name, rps: 100, requests: 1000, errors: 0, error_percent: 0, mean_ms: 1, p50_ms: 1, p90_ms: 2, p99_ms: 3, in_flight: 1, rps_history: [],
    breaker: { state: 'closed', mode: 'auto', opened: 0, wait_ms: 0 },
    limit: { off: false, now: 20, in_flight: 1, waiting: 0, queue: 10, shed: 0 },
    budget: { taken: 0, refused: 0 }, retried: 0, fallbacks: 0,
    counts: { success: 1000, failure: 0, timeout: 0, rejected: 0, short_circuited: 0, bad_request: 0, cancelled: 0, slow: 0 },
    endpoints_up: 3, endpoints_out: 0, endpoints: 3, panic: false, source: { kind: 'urls' },
    ...change,
  };
}

const open = { state: 'open', mode: 'auto', opened: 1, wait_ms: 1000 } as const;

test('errors colour from green at 10 % over yellow and orange to red at 50 %', () => {
  for (const [percent, want] of [[0, 0], [10, 0], [17.5, 0.5], [25, 1], [40, 2], [45, 2.5], [50, 3], [100, 3]] as const) {
    assert.equal(unwell(percent), want, `${percent} %`);
  }
});

test('a state can be worse than the errors', () => {
  assert.equal(health(service('a')), 0);
  assert.equal(health(service('a', { endpoints_up: 2, endpoints_out: 1 })), 1);
  assert.equal(health(service('a', { breaker: { ...open, state: 'half-open' } })), 2);
  assert.equal(health(service('a', { breaker: open })), 3);
  assert.equal(health(service('a', { panic: true })), 3);
  assert.equal(health(service('a', { endpoints_up: 0, endpoints_out: 3 })), 3);
  assert.equal(health(service('a', { endpoints_up: 0, endpoints: 0 })), 0, 'not known yet');
  assert.equal(health(service('a', { endpoints_out: 1, error_percent: 40 })), 2);
});

test('colours between two steps are mixed', () => {
  assert.equal(healthColour(0), 'var(--health-0)');
  assert.equal(healthColour(1.5), 'color-mix(in oklab, var(--health-2) 50%, var(--health-1))');
  assert.equal(healthColour(3), 'color-mix(in oklab, var(--health-3) 100%, var(--health-2))');
});

test('the area of a circle follows the traffic', () => {
  assert.equal(radius(400, 400, 50), 50);
  assert.equal(radius(100, 400, 50), 2 + 48 / 2);
  assert.equal(radius(0, 400, 50), 2);
  assert.equal(radius(9000, 400, 50), 50, 'never larger');
});

test('axes and the largest circle end at round numbers', () => {
  for (const [value, want] of [[0, 1], [0.3, 0.5], [1, 1], [1.2, 2], [20, 20], [21, 50], [999, 1000], [1001, 2000]] as const) assert.equal(nice(value), want);
  assert.equal(largest([service('a', { rps: 3 })]), 50);
  assert.equal(largest([service('a', { rps: 3, rps_history: [3, 180, 3] })]), 200, 'a peak counts for a minute');
});

test('services sort by what is asked for, then by name', () => {
  const list = [
    service('calm', { rps: 900 }),
    service('broken', { rps: 1, error_percent: 100 }),
    service('busy', { rps: 50, error_percent: 10, p99_ms: 9 }),
    service('also-calm', { rps: 900 }),
  ];
  const names = (order: Parameters<typeof sorted>[1]) => sorted(list, order).map((s) => s.name);
  assert.deepEqual(names('errors'), ['busy', 'broken', 'also-calm', 'calm']);
  assert.deepEqual(names('name'), ['also-calm', 'broken', 'busy', 'calm']);
  assert.deepEqual(names('volume'), ['also-calm', 'calm', 'busy', 'broken']);
  assert.deepEqual(names('p99'), ['busy', 'also-calm', 'broken', 'calm']);
  assert.equal(list[0]!.name, 'calm', 'the list itself stays as it is');
});

test('a service without traffic whose breaker is open stands before healthy ones', () => {
  const list = [service('fine'), service('dead', { rps: 0, breaker: open })];
  assert.equal(sorted(list, 'errors')[0]!.name, 'dead');
});

test('the filter wants every word', () => {
  const list = ['auction-api', 'auction-web', 'reward'].map((name) => ({ name }));
  assert.deepEqual(filtered(list, ' API  auc ').map((s) => s.name), ['auction-api']);
  assert.equal(filtered(list, '').length, 3);
});

test('what is wrong comes with what clients feel first', () => {
  assert.deepEqual(troubles(service('a')), []);
  assert.deepEqual(troubles(service('a', { error_percent: 100, requests: 3 })), [], 'one of three says nothing yet');
  assert.deepEqual(troubles(service('a', { error_percent: 6 })), ['failing']);
  assert.deepEqual(troubles(service('a', { error_percent: 100, breaker: open })), ['breaker-open']);
  assert.deepEqual(troubles(service('a', { endpoints: 0, endpoints_up: 0, source: { kind: 'dns', error: 'no such host' } })), ['no-endpoint', 'source']);
  const list = wrongs([
    service('old', { source: { kind: 'registry', error: 'refused', age_s: 40 } }),
    service('open', { breaker: open, rps: 1, error_percent: 50 }),
    service('failing', { error_percent: 50 }),
    service('fine'),
  ]);
  assert.deepEqual(list.map((w) => [w.service.name, w.bad]), [['failing', true], ['open', true], ['old', false]]);
});
