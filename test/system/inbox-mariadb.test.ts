import { afterAll, beforeAll, describe } from 'vitest';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { describeInbox } from '../inbox/inbox-suite.ts';
import { startMariadb, type DatabaseServer } from '../support/database-servers.ts';

const packages = await ensureDebianPackages(['mariadb-server']);

describe.skipIf(packages.missing)('the inbox in MariaDB', () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startMariadb(packages.program);
  }, 120_000);
  afterAll(() => server.stop());
  describeInbox({ dialect: 'mysql', where: () => server.url });
});
