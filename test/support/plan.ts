/** What PostgreSQL says of a statement that it has run. */

export interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Index Name'?: string;
  /** With those of the nodes below. */
  readonly 'Shared Hit Blocks'?: number;
  readonly 'Shared Read Blocks'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** All nodes of what `explain (format json)` answers. */
export function nodesOf(explained: unknown): PlanNode[] {
  const all = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(all)];
  return (explained as { Plan: PlanNode }[]).flatMap(({ Plan }) => all(Plan));
}

/** Rows that each node of a plan has read. */
export function readsOf(explained: unknown): number[] {
  return nodesOf(explained).map(
    (node) => (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
  );
}
