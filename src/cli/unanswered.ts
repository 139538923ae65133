// The errors of commands that find nothing to work on.
import { CommandError } from './exit-codes.ts';
import { printable } from './output.ts';

export function noGateway(): CommandError {
  return new CommandError('config', 'No brand has a gateway to ask: set GATEWAY_BASE_URL and GATEWAY_API_KEY.');
}

export function unknownCallback(gatewayReference: string): CommandError {
  return new CommandError('no', `No callback with the gatewayReference ${printable(gatewayReference)} is stored here.`);
}
