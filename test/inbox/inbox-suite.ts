// The inbox's promises, the same for each database: one booking for each id, for any number and order of deliveries, and
// across crashes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { connectTo, type Connection, type DialectName } from './databases.ts';

export interface Where {
  readonly dialect: DialectName;
  /** Returns a file or a URL. Called when the tests begin. */
  readonly where: () => string;
}

/** More statements than one delivery takes. */
const stepsMax = 40;
let references = 0;

export function describeInbox({ dialect, where }: Where): void {
  const connections: Connection[] = [];
  const connect = async () => {
    const connection = await connectTo(dialect, where());
    connections.push(connection);
    return connection;
  };
  const book = (connection: Connection, reference: string, amount = 100) =>
    connection.run(`INSERT INTO bookings (reference, amount) VALUES ('${reference}', ${amount})`);
  const booked = (connection: Connection, reference: string) =>
    connection.number(`SELECT count(*) FROM bookings WHERE reference = '${reference}'`);
  const newId = () => {
    references += 1;
    return `msg_${dialect}_${process.pid}_${references}`;
  };
  const deliveryOf = (webhookId: string, sequence: number | string = 0, gatewayReference = `ref-${webhookId}`) => ({
    webhookId,
    gatewayReference,
    sequence,
  });

  beforeAll(async () => {
    const connection = await connect();
    await connection.migrate();
    await connection.migrate(); // a second migration changes nothing
    await connection.run('CREATE TABLE IF NOT EXISTS bookings (reference varchar(100), amount int)');
    await connection.run('CREATE TABLE IF NOT EXISTS stock (id int PRIMARY KEY, amount int)');
    await connection.run('DELETE FROM stock');
    await connection.run('INSERT INTO stock (id, amount) VALUES (1, 0), (2, 0)');
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) await connection.close();
  });
  afterAll(async () => {
    for (const connection of connections.splice(0)) await connection.close();
  });

  test('the first delivery is done, the same id is a duplicate, a lower sequence outdated, a higher one done', async () => {
    const connection = await connect();
    const id = newId();
    const reference = `ref-${id}`;
    const work = () => book(connection, id);
    expect(await connection.once(deliveryOf(id, 1, reference), work)).toBe('done');
    expect(await connection.once(deliveryOf(id, 1, reference), work)).toBe('duplicate');
    expect(await connection.once(deliveryOf(`${id}-0`, 0, reference), work)).toBe('outdated');
    expect(await connection.once(deliveryOf(`${id}-same`, '1', reference), work)).toBe('done'); // another kind, such as reversed
    expect(await connection.once(deliveryOf(`${id}-2`, 2, reference), work)).toBe('done');
    expect(await booked(connection, id)).toBe(3);
  });

  test('a throw rolls the work and the note back, so that the next delivery does it', async () => {
    const connection = await connect();
    const id = newId();
    const failing = connection.once(deliveryOf(id), async () => {
      await book(connection, id);
      throw new Error('out of paper');
    });
    await expect(failing).rejects.toThrow('out of paper');
    expect(await booked(connection, id)).toBe(0);
    expect(await connection.once(deliveryOf(id), () => book(connection, id))).toBe('done');
    expect(await booked(connection, id)).toBe(1);
  });

  test('200 deliveries of one id at once, over ten connections, book once', async () => {
    const pool = await Promise.all(Array.from({ length: 10 }, connect));
    const id = newId();
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async (_, at) => {
        const connection = pool[at % pool.length];
        return connection?.once(deliveryOf(id), () => book(connection, id));
      }),
    );
    expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'duplicate')).toHaveLength(199);
    expect(pool[0] && (await booked(pool[0], id))).toBe(1);
  });

  test('of concurrent sequences in any order the highest wins in the end', async () => {
    const pool = await Promise.all(Array.from({ length: 5 }, connect));
    for (let round = 0; round < 5; round += 1) {
      const id = newId();
      const order = [3, 0, 4, 1, 2].map((sequence) => (sequence + round) % 5);
      let stands = -1;
      const outcomes = await Promise.all(
        order.map(async (sequence, at) =>
          pool[at]?.once(deliveryOf(`${id}-${sequence}`, sequence, id), async () => {
            await pool[at]?.run(`INSERT INTO bookings (reference, amount) VALUES ('${id}', ${sequence})`);
            stands = sequence;
          }),
        ),
      );
      expect(stands).toBe(4);
      expect(outcomes[order.indexOf(4)]).toBe('done');
    }
  });

  test('a delivery waits for another with the same id, and does the work if that one fails', async () => {
    const [first, second] = [await connect(), await connect()];
    const id = newId();
    const begun = Promise.withResolvers<void>();
    const failing = first.once(deliveryOf(id), async () => {
      begun.resolve();
      await new Promise((resolve) => setTimeout(resolve, 50));
      throw new Error('failed');
    });
    await begun.promise;
    const waiting = second.once(deliveryOf(id), () => book(second, id));
    await expect(failing).rejects.toThrow('failed');
    expect(await waiting).toBe('done');
    expect(await booked(second, id)).toBe(1);
  });

  test('a process killed before any of its statements leaves all or nothing, and the next delivery ends with one booking', async () => {
    const connection = await connect();
    const script = path.join(import.meta.dirname, 'crashing-child.ts');
    let survived = false;
    for (let step = 1; !survived; step += 1) {
      expect(step).toBeLessThan(stepsMax);
      const id = newId();
      const args = ['--disable-warning=ExperimentalWarning', script, dialect, where(), String(step), id];
      const [, signal] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'close');
      survived = signal !== 'SIGKILL';
      const before = await booked(connection, id);
      const outcome = await connection.once(deliveryOf(id), () => book(connection, id));
      expect({ step, outcome }).toEqual({ step, outcome: before === 1 ? 'duplicate' : 'done' });
      expect(await booked(connection, id)).toBe(1);
    }
  });

  test('distinguishes ids that differ in case or in a trailing space', async () => {
    const connection = await connect();
    const id = newId();
    for (const one of [id, id.toUpperCase(), `${id} `])
      expect(await connection.once(deliveryOf(one, 0, `ref-${id}`), () => undefined)).toBe('done');
  });

  test('refuses a connection with an open transaction, and deliveries that it cannot read', async () => {
    const connection = await connect();
    await connection.run(dialect === 'mysql' ? 'START TRANSACTION' : 'BEGIN');
    await expect(connection.once(deliveryOf(newId()), () => undefined)).rejects.toThrow('has an open transaction');
    await connection.run('ROLLBACK');
    for (const wrong of [deliveryOf(''), deliveryOf(newId(), -1), deliveryOf(newId(), 'x'), deliveryOf(newId(), 0, '')])
      await expect(connection.once(wrong, () => undefined)).rejects.toThrow(TypeError);
  });

  // SQLite has one writer at a time, so it cannot deadlock.
  test.skipIf(dialect === 'sqlite')(
    'a deadlock in the work rolls one of two back; delivered again, it books once',
    async () => {
      const [first, second] = [await connect(), await connect()];
      const [a, b] = [newId(), newId()];
      const both = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
      const work = (connection: Connection, id: string, rows: readonly number[], mine: 0 | 1) => async () => {
        await book(connection, id);
        await connection.run(`UPDATE stock SET amount = amount + 1 WHERE id = ${rows[0]}`);
        both[mine].resolve();
        await both[mine === 0 ? 1 : 0].promise;
        await connection.run(`UPDATE stock SET amount = amount + 1 WHERE id = ${rows[1]}`);
      };
      const settled = await Promise.allSettled([
        first.once(deliveryOf(a), work(first, a, [1, 2], 0)),
        second.once(deliveryOf(b), work(second, b, [2, 1], 1)),
      ]);
      expect(settled.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      for (const id of [a, b]) await first.once(deliveryOf(id), () => book(first, id));
      expect([await booked(first, a), await booked(first, b)]).toEqual([1, 1]);
    },
  );
}
