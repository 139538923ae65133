// The gateway's listener: the public API below its base path, the control API below `/_simulator`. It can go down and come up
// on the same port while the rest of the gateway continues.
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { registerControlApi } from './control-api.ts';
import { refuse, registerGatewayApi, type GatewayApiOptions } from './gateway-api.ts';
import type { GatewayControls } from './gateway-controls.ts';

const bodyBytesMax = 1_048_576;
const referenceCharactersMax = 255 * 9; // each character percent-encoded as up to three bytes

export interface GatewayServerOptions {
  readonly host: string;
  readonly port: number;
  readonly basePath: string;
  readonly controls: GatewayControls;
  readonly api: Omit<GatewayApiOptions, 'checkoutUrl'>;
}

export function createGatewayServer({ host, port, basePath, controls, api }: GatewayServerOptions) {
  let app: FastifyInstance | null = null;
  let boundPort = port;
  const origin = () => `http://${host.includes(':') ? `[${host}]` : host}:${boundPort}`;

  return {
    /** Listens. Rejects with the system's error if the port is in use. */
    async up(): Promise<{ url: string; port: number; controlUrl: string }> {
      if (app === null) {
        const checkoutUrl = (reference: string) => `${origin()}/_simulator/checkout/${reference}`;
        const starting = build({ basePath, controls, api: { ...api, checkoutUrl } });
        await starting.listen({ host, port: boundPort });
        const address = starting.server.address();
        if (address !== null && typeof address === 'object') boundPort = address.port;
        app = starting;
      }
      return { url: `${origin()}${basePath}`, port: boundPort, controlUrl: `${origin()}/_simulator` };
    },
    async down(): Promise<void> {
      const closing = app;
      app = null;
      await closing?.close();
    },
  };
}

interface BuildOptions {
  readonly basePath: string;
  readonly controls: GatewayControls;
  readonly api: GatewayApiOptions;
}

function build({ basePath, controls, api }: BuildOptions): FastifyInstance {
  const app = Fastify({
    bodyLimit: bodyBytesMax,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: referenceCharactersMax },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((_request, reply) =>
    refuse(reply, { status: 404, errorCode: 'not_found', detail: 'No such path.' }),
  );
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    const errorCode = status < 500 ? 'bad_request' : 'internal_server_error';
    return refuse(reply, { status, errorCode, detail: error.message });
  });
  app.register(async (scope) => registerGatewayApi(scope, api), { prefix: basePath });
  app.register(async (scope) => registerControlApi(scope, controls), { prefix: '/_simulator' });
  return app;
}
