import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe } from 'vitest';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { describeInbox } from '../inbox/inbox-suite.ts';
import { postgresVersions, startPostgres, type DatabaseServer } from '../support/database-servers.ts';

const packages = await ensureDebianPackages(['postgresql']);

describe.skipIf(packages.missing !== undefined || !existsSync(postgresVersions))('the inbox in PostgreSQL', () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startPostgres();
  }, 120_000);
  afterAll(() => server.stop());
  describeInbox({ dialect: 'postgres', where: () => server.url });
});
