<?php
// A shop's endpoint in plain PHP, without a framework: verifies the signature over the raw body, and books each payment once in a real
// database. Anything but a 2xx makes the receiver try again later, so an error here loses nothing.
//
//   FORWARD_SECRET=whsec_... php -S 127.0.0.1:4000 examples/php-endpoint/endpoint.php

declare(strict_types=1);

const TOLERANCE_SECONDS = 300;

function header_of(string $name): string
{
    return $_SERVER['HTTP_' . strtoupper(str_replace('-', '_', $name))] ?? '';
}

/** As Standard Webhooks specifies: HMAC-SHA256 over id, time and body; several signatures while a secret is rotated. */
function is_genuine(string $body, string $key): bool
{
    [$id, $timestamp] = [header_of('webhook-id'), header_of('webhook-timestamp')];
    if ($id === '' || !ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE_SECONDS) {
        return false;
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', header_of('webhook-signature')) as $signature) {
        if (hash_equals($expected, $signature)) {
            return true;
        }
    }
    return false;
}

function open_database(): PDO
{
    $database = new PDO('sqlite:' . (getenv('ORDERS_FILE') ?: 'orders.sqlite'));
    $database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    $database->exec('PRAGMA busy_timeout = 5000');
    $database->exec('CREATE TABLE IF NOT EXISTS payalo_inbox (gateway_reference TEXT NOT NULL, webhook_id TEXT NOT NULL,
        sequence INTEGER NOT NULL, seen_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (gateway_reference, webhook_id))');
    $database->exec('CREATE TABLE IF NOT EXISTS orders (reference TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL)');
    return $database;
}

/** The inbox of docs/inbox.md without the library: storing the id and booking are one transaction. */
function once(PDO $database, string $webhook_id, string $reference, int $sequence, callable $work): string
{
    $database->exec('BEGIN IMMEDIATE');
    try {
        $seen = $database->prepare('SELECT 1 FROM payalo_inbox WHERE gateway_reference = ? AND webhook_id = ?');
        $seen->execute([$reference, $webhook_id]);
        $highest = $database->prepare('SELECT max(sequence) FROM payalo_inbox WHERE gateway_reference = ?');
        $highest->execute([$reference]);
        $outcome = 'done';
        if ($seen->fetchColumn() !== false) {
            $outcome = 'duplicate';
        } elseif ((int) ($highest->fetchColumn() ?? -1) > $sequence) {
            $outcome = 'outdated';
        } else {
            $database->prepare('INSERT INTO payalo_inbox (gateway_reference, webhook_id, sequence) VALUES (?, ?, ?)')
                ->execute([$reference, $webhook_id, $sequence]);
            $work();
        }
        $database->exec('COMMIT');
        return $outcome;
    } catch (Throwable $error) {
        $database->exec('ROLLBACK');
        throw $error;
    }
}

$secret = getenv('FORWARD_SECRET') ?: '';
$key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, strlen('whsec_')), true) : false;
if ($key === false || strlen($key) < 12) {
    http_response_code(500);
    error_log('Set FORWARD_SECRET to the secret that the receiver signs with: echo whsec_$(openssl rand -base64 32) makes one.');
    return;
}
$body = file_get_contents('php://input'); // the raw body: re-serializing it would change the signature
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !is_genuine($body, $key)) {
    error_log('Refused: not signed with our FORWARD_SECRET, or over five minutes ago.');
    http_response_code(401);
    return;
}
try {
    $database = open_database();
    $reference = rawurldecode(header_of('payalo-gateway-reference'));
    $sequence = (int) header_of('payalo-sequence');
    $status = json_decode($body, true, 512, JSON_THROW_ON_ERROR)['status'] ?? '';
    // Book the payment: yours goes into this function. In the body, `merchantReference` is your order's number, and `finalAmount` what was
    // paid: compare it with what the order costs before anything is sent.
    $outcome = once($database, header_of('webhook-id'), $reference, $sequence, function () use ($database, $reference, $status, $sequence) {
        $database->prepare('INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (reference) DO UPDATE
            SET status = excluded.status, sequence = excluded.sequence')->execute([$reference, $status, $sequence]);
    });
    error_log("$outcome $reference $status");
    http_response_code(200);
} catch (Throwable $error) {
    error_log((string) $error);
    http_response_code(500);
}
