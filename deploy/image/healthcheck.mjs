// The image's HEALTHCHECK: healthy while this container can do its work, as its own operator listener says. Every role
// has that listener. With Redis down a receiver stays healthy as long as its spool can take callbacks.
const port = process.env.OPS_PORT || '3001';
const timeoutMs = 3_000;

try {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
  process.exit(answer.ok ? 0 : 1);
} catch {
  process.exit(1);
}
