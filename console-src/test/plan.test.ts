import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, draw, node, slowestFirst, type Plan, type PlanCall } from '../src/plan.ts';

function call(number: number, after: number[] = [], p95?: number): PlanCall {
  return {
    number, after, part: `part ${number}`, call: `service GET /${number}`, kind: 'one', class: 'null', max_calls: 1, max_keys: 1, made: 0, failed: 0,
    ...(p95 === undefined ? {} : { p95_ms: p95 }),
  };
}

const plan: Plan = {
  view: 'GET /home/{id}', budget: '400ms', bounds: { calls: 5, keys: 5, depth: 3 }, critical_path: [2, 4, 5],
  calls: [call(1, [], 3), call(2, [], 9), call(3), call(4, [2]), call(5, [4, 1], 12)],
};

test('calls stand in columns by what they wait for, and never on one another', () => {
  const d = draw(plan);
  const at = new Map(d.nodes.map((n) => [n.call.number, n]));
  const column = (n: number) => (at.get(n)?.x ?? -1) / (node.width + node.gapX);
  assert.deepEqual([1, 2, 3, 4, 5].map(column), [0, 0, 0, 1, 2]);
  for (const a of d.nodes) {
    assert.ok(a.y >= 0 && a.y + node.height <= d.height, `${a.call.number} is outside`);
    for (const b of d.nodes) if (a !== b && a.x === b.x) assert.ok(Math.abs(a.y - b.y) >= node.height, `${a.call.number} and ${b.call.number} overlap`);
  }
  assert.equal(at.get(4)?.y, at.get(2)?.y);
});

test('the critical path is marked, other ways to its calls are not', () => {
  const d = draw(plan);
  assert.deepEqual(d.nodes.filter((n) => n.critical).map((n) => n.call.number), [2, 4, 5]);
  assert.deepEqual(d.edges.map((e) => [e.key, e.critical]), [['2-4', true], ['4-5', true], ['1-5', false]]);
});

test('a plan without calls has a size', () => {
  const d = draw({ ...plan, calls: [], critical_path: null });
  assert.ok(d.width > 0 && d.height > 0);
});

test('the slowest part comes first, what was never called last', () => {
  assert.deepEqual(slowestFirst(plan.calls).map((c) => c.number), [5, 2, 1, 3, 4]);
});

test('a long name keeps its end', () => {
  assert.equal(cut('member.auctions.bids.restaurant', 16), '…bids.restaurant');
  assert.equal(cut('member', 16), 'member');
});
