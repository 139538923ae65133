import path from 'node:path';
import { beforeAll, describe } from 'vitest';
import { makeTempDir } from '../support/temp-dir.ts';
import { describeInbox } from './inbox-suite.ts';

describe('the inbox in SQLite', () => {
  let file = '';
  beforeAll(async () => {
    file = path.join(await makeTempDir('inbox'), 'shop.db');
  });
  describeInbox({ dialect: 'sqlite', where: () => file });
});
