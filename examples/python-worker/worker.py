"""A merchant's own worker process for the queue, in Python. The job's data is described by job.schema.json.

Returning is done; raising is retried by BullMQ, which then waits as the job's own options say.
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import sqlite3

from bullmq import Worker

orders = sqlite3.connect(os.environ.get("ORDERS_FILE", "orders.sqlite"), isolation_level=None, timeout=5)
orders.executescript(
    """
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS processed (webhook_id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS orders (reference TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL);
    """
)


def webhook_id(job: dict) -> str:
    """The id that the callback has over HTTP as well: the same over retries and replays, another for another result."""
    status = job["status"]
    kind = "terminal" if status in ("success", "failed") else f"status:{status or ''}"
    parts = ["webhook", job.get("identityBrand", job["brand"]), job["gatewayReference"], kind]
    if "finalAmount" in job:  # absent in jobs of former versions, whose ids did not name the result
        value, _, currency = (job["finalAmount"] or " ").partition(" ")
        parts += [status or "", value, currency]
    parts.append(str(job.get("sequence", 0)))
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode("utf-8")).digest()[:16]
    return "msg_" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def book_once(job: dict) -> bool:
    """False where this callback had its effect before. Both writes are one transaction."""
    orders.execute("BEGIN IMMEDIATE")
    try:
        is_new = orders.execute("INSERT OR IGNORE INTO processed VALUES (?)", (webhook_id(job),)).rowcount == 1
        if is_new:
            orders.execute(
                """INSERT INTO orders VALUES (?, ?, ?)
                   ON CONFLICT (reference) DO UPDATE SET status = excluded.status, sequence = excluded.sequence
                   WHERE excluded.sequence >= orders.sequence""",
                (job["gatewayReference"], job["status"] or "unknown", job.get("sequence", 0)),
            )
        orders.execute("COMMIT")
        return is_new
    except BaseException:
        orders.execute("ROLLBACK")
        raise


async def handle(job, _token):
    callback = job.data
    # The gateway's body, with amounts as exact decimals: json.loads(callback["body"], parse_float=decimal.Decimal)
    # Book the payment: yours goes into book_once. `merchantReference` is your order's number, `finalAmount` what was paid:
    # compare it with what the order costs before anything is sent.
    is_new = book_once(callback)
    print("booked" if is_new else "known", callback["gatewayReference"], callback["status"], flush=True)


async def main():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    worker = Worker(
        os.environ.get("QUEUE_NAME", "payalo-callbacks"),
        handle,
        {
            "connection": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
            "prefix": os.environ.get("QUEUE_PREFIX", "{payalo}"),
            "maxStalledCount": 1_000_000,
        },
    )
    print("working", flush=True)
    await stop.wait()
    await worker.close()


asyncio.run(main())
