// What commands say where what they were asked for is not there.
import { CommandError } from './exit-codes.ts';
import { printable } from './output.ts';

export function noGateway(): CommandError {
  return new CommandError('config', 'No brand has a gateway to ask: set GATEWAY_BASE_URL and GATEWAY_API_KEY.');
}

export function unknownCallback(gatewayReference: string): CommandError {
  return new CommandError('no', `No callback with the gatewayReference ${printable(gatewayReference)} is known here.`);
}
