// Interprets the status line and `Retry-After` of an HTTP response.

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/**
 * Seconds or an HTTP date (RFC 9110, 10.2.3) as milliseconds from now, at least 0; undefined if it is neither. The asctime
 * form has no zone and means UTC (RFC 9110, 5.6.7); Date.parse would use the local zone.
 */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  if (!/[a-z]/i.test(text)) return undefined;
  const hasZone = /(?:gmt|utc|z|[+-]\d{2}:?\d{2})$/i.test(text);
  const waitMs = Date.parse(hasZone ? text : `${text} GMT`) - nowMs;
  return Number.isNaN(waitMs) ? undefined : Math.max(waitMs, 0);
}
