// The columns of a report, in CSV and in tables.
import { reportKeys, type ReportKey, type ReportTotal } from './report-totals.ts';
import type { ReportRow } from './report-row.ts';

type Cells = (string | number | null)[];

const totalColumns = [
  'count',
  'succeeded',
  'failed',
  'pending',
  'other',
  'gross',
  'fees',
  'net',
  'received',
  'delivered',
  'late',
  'corrected',
  'mismatched',
] as const satisfies (keyof ReportTotal)[];

/** Type and currency always have a column, since each has its own lines. */
export function totalHead(by: readonly ReportKey[]): string[] {
  return [...keysOf(by), 'type', 'currency', ...totalColumns];
}

export function totalCells(by: readonly ReportKey[], line: ReportTotal): Cells {
  return [
    ...keysOf(by).map((key) => line[key] ?? ''),
    line.type,
    line.currency,
    ...totalColumns.map((name) => line[name]),
  ];
}

function keysOf(by: readonly ReportKey[]) {
  return reportKeys.filter((key) => key !== 'currency').filter((key) => by.includes(key));
}

const rowColumns = {
  brand: ({ brand }) => brand,
  gatewayReference: ({ gatewayReference }) => gatewayReference,
  merchantReference: ({ merchantReference }) => merchantReference,
  createdAt: ({ createdAtMs }) => isoOf(createdAtMs),
  completedAt: ({ completedAtMs }) => isoOf(completedAtMs),
  type: ({ type }) => type,
  method: ({ method }) => method,
  status: ({ status }) => status,
  currency: ({ currency }) => currency,
  gross: ({ gross }) => gross,
  fee: ({ fee }) => fee,
  feeCurrency: ({ fee, feeCurrency }) => (fee === '' ? '' : feeCurrency),
  net: ({ net }) => net,
  errorCode: ({ errorCode }) => errorCode,
  state: ({ ours }) => (typeof ours === 'string' ? (ours === 'unknown' ? '' : ours) : ours.state),
  receivedAt: ({ ours }) => (typeof ours === 'string' ? '' : isoOf(ours.receivedAtMs)),
  deliveredAt: ({ ours }) => (typeof ours === 'string' ? '' : isoOf(ours.deliveredAtMs)),
  source: ({ ours }) => (typeof ours === 'string' ? '' : (ours.source ?? '')),
  sequence: ({ ours }) => (typeof ours === 'string' ? '' : ours.sequence),
  confirmed: ({ ours }) => (typeof ours === 'string' ? '' : (ours.confirmed ?? '')),
  amountCheck: ({ ours }) => (typeof ours === 'string' ? '' : (ours.amountCheck ?? '')),
} as const satisfies Record<string, (row: ReportRow) => string | number | null>;

export const rowHead = Object.keys(rowColumns);

export function rowCells(row: ReportRow): Cells {
  return Object.values(rowColumns).map((cellOf) => cellOf(row));
}

/** For JSON: an object by column. */
export function rowObject(row: ReportRow): Record<string, string | number | null> {
  return Object.fromEntries(Object.entries(rowColumns).map(([name, cellOf]) => [name, cellOf(row)]));
}

function isoOf(ms: number | undefined): string {
  return ms === undefined ? '' : new Date(ms).toISOString();
}
