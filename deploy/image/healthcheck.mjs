// The image's HEALTHCHECK: asks the operator listener, which every role has. With Redis down a receiver stays healthy as
// long as its spool accepts callbacks.
const port = process.env.OPS_PORT || '3001';
const timeoutMs = 3_000;

try {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
  process.exit(answer.ok ? 0 : 1);
} catch {
  process.exit(1);
}
