import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, count, duration, percent, rate } from '../src/format.ts';

test('a share that is not nothing is never 0, one that is not all never 100', () => {
  for (const [value, want] of [[0, '0'], [0.0001, '0.01'], [0.42, '0.42'], [1, '1'], [1.25, '1.3'], [12.6, '13'], [99.96, '99.9'], [100, '100']] as const) {
    assert.equal(percent('en', value), want);
  }
});

test('rates and counts', () => {
  for (const [value, want] of [[0, '0'], [0.01, '0.1'], [3.14, '3.1'], [50, '50'], [99.94, '99.9'], [1234.5, '1,235']] as const) assert.equal(rate('en', value), want);
  assert.equal(count('ko', 12345), '12,345');
});

test('durations keep two or three digits and never become nothing', () => {
  for (const [ms, want] of [[0, '0 ms'], [0.004, '0.01 ms'], [0.4, '0.4 ms'], [9.9, '9.9 ms'], [10.4, '10 ms'], [999.6, '1.00 s'], [1234, '1.23 s'], [2000, '2 s'], [61500, '61.5 s']] as const) {
    assert.equal(duration('en', ms), want);
  }
  assert.equal(duration('en', undefined), '–');
});

test('ages in their largest unit', () => {
  for (const [s, want] of [[-1, '0 s'], [119, '119 s'], [120, '2 min'], [7200, '2 h'], [200000, '2 d']] as const) assert.equal(age('en', s), want);
  assert.equal(age('ko', 300), '5분');
});
