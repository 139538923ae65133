"""A shop's endpoint with FastAPI: verifies the signature over the raw body, and books each payment once in a real database.

    pip install -r examples/fastapi-endpoint/requirements.txt
    FORWARD_SECRET=whsec_... uvicorn --app-dir examples/fastapi-endpoint endpoint:app --port 4000

Anything but a 2xx makes the receiver try again later, so an error here loses nothing.
"""

import json
import os
import sqlite3
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["FORWARD_SECRET"])
orders_file = os.environ.get("ORDERS_FILE", "orders.sqlite")
app = FastAPI()


def connect() -> sqlite3.Connection:
    # Transactions are explicit; a second writer waits for the lock.
    database = sqlite3.connect(orders_file, timeout=5, isolation_level=None)
    database.execute(
        "CREATE TABLE IF NOT EXISTS payalo_inbox (gateway_reference TEXT NOT NULL, webhook_id TEXT NOT NULL,"
        " sequence INTEGER NOT NULL, seen_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,"
        " PRIMARY KEY (gateway_reference, webhook_id))"
    )
    database.execute(
        "CREATE TABLE IF NOT EXISTS orders (reference TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL)"
    )
    return database


def book_once(webhook_id: str, reference: str, sequence: int, status: str) -> str:
    """docs/inbox.md, by hand: the note that an id was seen and the booking are one transaction."""
    database = connect()
    try:
        database.execute("BEGIN IMMEDIATE")
        key = (reference, webhook_id)
        seen = database.execute("SELECT 1 FROM payalo_inbox WHERE gateway_reference = ? AND webhook_id = ?", key).fetchone()
        (highest,) = database.execute(
            "SELECT max(sequence) FROM payalo_inbox WHERE gateway_reference = ?", (reference,)
        ).fetchone()
        if seen is not None:
            outcome = "duplicate"
        elif highest is not None and highest > sequence:
            outcome = "outdated"
        else:
            outcome = "done"
            database.execute(
                "INSERT INTO payalo_inbox (gateway_reference, webhook_id, sequence) VALUES (?, ?, ?)", (*key, sequence)
            )
            # Book the payment: yours goes here. In the body, `merchantReference` is your order's number, and `finalAmount`
            # what was paid: compare it with what the order costs before anything is sent.
            database.execute(
                "INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (reference) DO UPDATE"
                " SET status = excluded.status, sequence = excluded.sequence",
                (reference, status, sequence),
            )
        database.execute("COMMIT")
        return outcome
    finally:
        database.close()  # an open transaction is rolled back


@app.post("/payments")
async def payments(request: Request) -> Response:
    body = await request.body()  # the raw body: re-serializing it would change the signature
    try:
        webhook.verify(body, dict(request.headers))
    except WebhookVerificationError:
        print("Refused: not signed with our FORWARD_SECRET, or over five minutes ago.", flush=True)
        return Response(status_code=401)
    headers = request.headers
    reference = unquote(headers["payalo-gateway-reference"])
    status = json.loads(body).get("status") or ""
    sequence = int(headers["payalo-sequence"])
    outcome = await run_in_threadpool(book_once, headers["webhook-id"], reference, sequence, status)
    print(outcome, reference, status, flush=True)
    return Response(status_code=200)
