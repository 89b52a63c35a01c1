// The plan of a view as GET /v1/views gives it, and where its calls are drawn.

/** One call of a plan. */
export interface PlanCall {
  number: number;
  after?: number[];
  part: string;
  call: string;
  kind: string;
  class: string;
  max_calls: number;
  max_keys: number;
  made: number;
  failed: number;
  p50_ms?: number;
  p95_ms?: number;
}

/** What a view does for one client. */
export interface Plan {
  view: string;
  client?: string;
  calls: PlanCall[];
  bounds: { calls: number; keys: number; depth: number };
  critical_path: number[] | null;
  budget: string;
  not_called?: string[];
}

/** A view of GET /v1/views. */
export interface ViewInfo {
  view: string;
  at?: string;
  filters: string[];
  plans: Plan[];
}

/** Sizes of the drawing, in its own units. */
export const node = { width: 256, height: 58, gapX: 56, gapY: 16 };

/** A call with its place: the column is how many calls it waits for, one after the other. */
export interface Placed {
  call: PlanCall;
  x: number;
  y: number;
  critical: boolean;
}

/** A line from a call to one that waits for it. */
export interface Edge {
  key: string;
  path: string;
  critical: boolean;
}

export interface Drawing {
  nodes: Placed[];
  edges: Edge[];
  width: number;
  height: number;
}

/** Lays the calls of a plan out in columns, each below the others of its column and near what it waits for. */
export function draw(plan: Plan): Drawing {
  const layers = new Map<number, number>();
  for (const c of plan.calls) layers.set(c.number, 1 + Math.max(-1, ...(c.after ?? []).map((n) => layers.get(n) ?? 0)));
  const path = plan.critical_path ?? [];
  const columns: PlanCall[][] = [];
  for (const c of plan.calls) (columns[layers.get(c.number) ?? 0] ??= []).push(c);
  const tallest = Math.max(1, ...columns.map((c) => c.length));
  const height = tallest * (node.height + node.gapY) - node.gapY;
  const placed = new Map<number, Placed>();
  columns.forEach((column, i) => {
    const rank = (c: PlanCall) => Math.min(Infinity, ...(c.after ?? []).map((n) => placed.get(n)?.y ?? 0));
    if (i > 0) column.sort((a, b) => rank(a) - rank(b) || a.number - b.number);
    let least = 0; // where the next one may begin
    column.forEach((call, k) => {
      const rest = (column.length - k) * (node.height + node.gapY) - node.gapY;
      const wish = i > 0 ? rank(call) : least;
      const y = Math.min(Math.max(least, wish), height - rest);
      placed.set(call.number, { call, x: i * (node.width + node.gapX), y, critical: path.includes(call.number) });
      least = y + node.height + node.gapY;
    });
  });
  const edges: Edge[] = [];
  for (const to of placed.values()) {
    for (const n of to.call.after ?? []) {
      const from = placed.get(n);
      if (!from) continue;
      const [x1, y1, x2, y2] = [from.x + node.width, from.y + node.height / 2, to.x, to.y + node.height / 2];
      const bend = node.gapX / 2;
      edges.push({
        key: `${n}-${to.call.number}`,
        path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 6} ${y2}`,
        critical: from.critical && path.indexOf(to.call.number) === path.indexOf(n) + 1,
      });
    }
  }
  return { nodes: [...placed.values()], edges, width: Math.max(1, columns.length) * (node.width + node.gapX) - node.gapX, height };
}

/** The slowest first; what was never called comes last, in the order of the plan. */
export function slowestFirst(calls: PlanCall[]): PlanCall[] {
  return [...calls].sort((a, b) => (b.p95_ms ?? -1) - (a.p95_ms ?? -1) || a.number - b.number);
}

/** A text cut to fit, with its end when that tells more. */
export function cut(text: string, most: number): string {
  return text.length <= most ? text : '…' + text.slice(text.length - most + 1);
}
