// The files that `npm run test:mutation` mutates, and the tests that must catch each mutation.
export interface MutatedFile {
  readonly file: string;
  /** In stages, quick tests first: a stage runs only if the previous one caught nothing. */
  readonly tests: readonly (readonly string[])[];
  /** Harmless mutations: the changed line, and why it has no effect. */
  readonly harmless: Readonly<Record<string, string>>;
}

/** The file's own test comes first. */
const ofCallbacks = (name: string) => [[`test/callback/${name}.test.ts`], ['test/callback/']];
const ofBreaker = [
  ['test/deliver/breaker-script.test.ts', 'test/deliver/breaker-limits.test.ts'],
  ['test/deliver/breaker.test.ts', 'test/deliver/breaker-fairness.test.ts'],
];
const ofAccepting = [
  [
    'test/store/judged.test.ts',
    'test/store/replaced-job.test.ts',
    'test/store/accept-at-a-time.test.ts',
    'test/store/paid-otherwise.test.ts',
    'test/store/accept-batch.test.ts',
  ],
  ['test/store/taken-before.test.ts', 'test/store/removed.test.ts', 'test/store/former-names.test.ts'],
  ['test/store/claim-keeper.test.ts', 'test/intake/culprits.test.ts'],
];

export const mutatedFiles: readonly MutatedFile[] = [
  {
    file: 'src/callback/amount-check.ts',
    tests: ofCallbacks('amount-check'),
    harmless: {
      "return difference {{< => <=}} 0 ? 'short' : 'over';": 'It is not 0 there.',
      "return difference < {{0 => 1}} ? 'short' : 'over';": 'It is -1 or 1 there.',
    },
  },
  { file: 'src/callback/confirmation.ts', tests: ofCallbacks('confirmation'), harmless: {} },
  {
    file: 'src/callback/decimal.ts',
    tests: ofCallbacks('decimal'),
    harmless: {
      "const padded = point <= {{0 => 1}} ? '0'.repeat(1 - point) + digits : digits.padEnd(point, '0');":
        'With the point behind the first digit neither adds anything.',
      'return left {{< => <=}} right ? -1 : 1;': 'They are not equal there.',
      "const text = (sum {{< => <=}} 0n ? -sum : sum).toString().padStart(digits + 1, '0');":
        'There is no negative zero.',
      "const text = (sum < 0n ? -sum : sum).toString().padStart(digits + {{1 => 2}}, '0');":
        'The canonical form has no leading zeros.',
      'return point {{< => <=}} 0 ? 0 : value.length - point - 1;': 'No canonical decimal begins with its point.',
      'return point < {{0 => 1}} ? 0 : value.length - point - 1;': 'No canonical decimal begins with its point.',
    },
  },
  { file: 'src/callback/identity.ts', tests: ofCallbacks('identity'), harmless: {} },
  {
    file: 'src/callback/job.ts',
    tests: [...ofCallbacks('job'), ['test/deliver/webhook-id.test.ts', 'test/deliver/later-version.test.ts']],
    harmless: {
      'if (drawnAt + length {{> => >=}} drawn.length) {': 'A character more is thrown away.',
      'drawnAt = {{0 => 1}};': 'A character is thrown away.',
      'let drawnAt = {{0 => 1}};': 'Nothing was drawn yet.',
    },
  },
  { file: 'src/callback/job-json-schema.ts', tests: [['test/callback/job-schema.test.ts']], harmless: {} },
  { file: 'src/callback/json-text.ts', tests: ofCallbacks('json-text'), harmless: {} },
  {
    file: 'src/callback/parse-callback.ts',
    tests: ofCallbacks('parse-callback'),
    harmless: {
      "return { kind: 'bad-reference', detail: problem {{?? => &&}} 'gatewayReference is not a string.' };":
        'There is always a problem there; the compiler asks for the rest.',
      'if (reference.length {{> => >=}} referenceLengthMax && Array.from(reference).length > referenceLengthMax) {':
        'It saves the counting, and decides nothing.',
    },
  },
  { file: 'src/deliver/verdict.ts', tests: [['test/deliver/verdict.test.ts']], harmless: {} },
  {
    file: 'src/deliver/breaker/breaker.ts',
    tests: [['test/deliver/breaker-process.test.ts'], ...ofBreaker],
    harmless: {
      'let failures = {{0 => 1}};': 'While nothing is known of the phase, a success asks in any case.',
      'let resting = {{0 => 1}};': 'It is read once the phase is known, and known with it.',
      'timer = setTimeout(() => void observe(), {{0 => 1}});': 'Node takes 0 for 1.',
    },
  },
  {
    file: 'src/deliver/breaker/breaker.lua',
    tests: ofBreaker,
    harmless: {
      'local offerMs, offeredOf = {{300 => 301}}, 50 -- processes check every 100 ms': 'A millisecond.',
      "local heldAt, waitMs = tonumber(stored('heldAt') or {{0 => 1}}), tonumber(stored('waitMs') or firstWaitMs)":
        'Both are in 1970.',
      "if heldAt {{> => >=}} now then -- the clock was set back: until then every outcome would count as a straggler's":
        'It is set to what it is.',
      "local ours = phase ~= 'closed' and (not wrote[{{1 => 2}}] or (found[1] == wrote[1] and found[2] == wrote[2]))":
        'Both are written at once.',
      "return (tonumber(redis.call('GET', limiter) or {{0 => 1}}) or 0) >= manualLimit": 'Both are far below it.',
      "return (tonumber(redis.call('GET', limiter) or 0) or {{0 => 1}}) >= manualLimit": 'Both are far below it.',
      "local turnAt = math.max(tonumber(stored('turnAt') or {{0 => 1}}), now)": 'Both are in 1970.',
      "if stored('turn') ~= 'latest' or leftMs {{< => <=}} 0 or leftMs > offerMs then return end":
        'A hold of no milliseconds is over.',
      "redis.call('LREM', wait, {{1 => 2}}, id)": 'A job waits once.',
      "if most and redis.call('PTTL', limiter) {{> => >=}} most then redis.call('PEXPIRE', limiter, math.ceil(most)) end":
        'It is set to what it is.',
    },
  },
  {
    file: 'src/store/accept/accept.lua',
    tests: ofAccepting,
    harmless: {
      "if redis.call('PTTL', key) {{< => <=}} tonumber(ttl) then redis.call('PEXPIRE', key, ttl) end":
        'It is set to what it is.',
      "local text = type(reason) == 'table' {{and => or}} reason['err'] or tostring(reason)":
        'Redis and Valkey give the text of an error; a table would be another server’s.',
      "local text = type(reason) {{== => ~=}} 'table' and reason['err'] or tostring(reason)":
        'Redis and Valkey give the text of an error; a table would be another server’s.',
      "if torn == 'job' then redis.call('LREM', wait, {{0 => 1}}, jobId) end -- its id may still be in the list":
        'An id is left there once at most.',
    },
  },
  {
    file: 'src/store/accept/judge-claimed.lua',
    tests: ofAccepting,
    harmless: {
      'local jobId, beginning = item.digest .. item.nonce, string.sub(item.data, 1, -{{2 => 3}})':
        'What is torn is full of zeros, which are looked for.',
    },
  },
  {
    file: 'src/store/accept/gather-jobs.lua',
    tests: ofAccepting,
    harmless: {
      '{{claimed[at] = nil => }}': 'To give a claim back twice is to give it back.',
      "local last = redis.call('ZREVRANGEBYSCORE', delayed, (due + 1) * 0x1000 - 1, due * 0x1000, 'WITHSCORES', 'LIMIT', 0, {{1 => 2}})":
        'The first one is looked at.',
      "if removed == 0 then removed = redis.call('LREM', wait, {{1 => 2}}, jobId) end": 'A job waits once.',
      'return removed > 0 and data and not started and (isUnseen or not string.find(data, \'"sequence":\', {{1 => 2}}, true))':
        'The first character is a bracket.',
      'return removed > 0 and data and not started and (isUnseen or not string.find(data, \'"sequence":\', 1, {{true => false}}))':
        'The text is the same as a pattern.',
      "local first = redis.call('ZRANGE', delayed, 0, {{0 => 1}}, 'WITHSCORES')": 'The first one is looked at.',
      "if #held > {{0 => 1}} then redis.call('ZADD', KEYS[21], unpack(held)) end": 'Each adds two.',
      'queued = queued {{+ => -}} #waiting': 'It is asked only whether it is 0.',
      "if #unconfirmed {{> => >=}} 0 then redis.pcall('ZADD', KEYS[20], unpack(unconfirmed)) end":
        'Redis refuses an empty list, and that is not looked at.',
      "if #unconfirmed > {{0 => 1}} then redis.pcall('ZADD', KEYS[20], unpack(unconfirmed)) end": 'Each adds two.',
      "if #entries {{> => >=}} 0 then redis.pcall('ZADD', KEYS[9 + part], unpack(entries)) end":
        'Redis refuses an empty list, and that is not looked at.',
      "if #entries > {{0 => 1}} then redis.pcall('ZADD', KEYS[9 + part], unpack(entries)) end": 'Each adds two.',
    },
  },
  {
    file: 'src/store/accept/paid-otherwise.lua',
    tests: ofAccepting,
    harmless: {
      'local function has(text) return string.find(data, text, {{1 => 2}}, true) end':
        'The first character is a bracket.',
    },
  },
];
