// CONFIRM, by brand: whether and when the gateway is asked to confirm a callback.
import { couldBe, defaultBrand, parseBrandValues } from './brand-values.ts';
import type { Role } from './role-names.ts';

export const confirmModes = ['after', 'before', 'off'] as const;
export type ConfirmMode = (typeof confirmModes)[number];

/** For a brand that was added to the keys file at run time and has no setting yet: the strictest mode of the others. */
export function modeOfNewBrand(brands: Iterable<{ readonly confirm: ConfirmMode }>): ConfirmMode {
  const modes = new Set(Array.from(brands, ({ confirm }) => confirm));
  return (['before', 'after'] as const).find((mode) => modes.has(mode)) ?? 'off';
}

interface AskableBrand {
  readonly name: string;
  readonly gatewayBaseUrl: string | undefined;
  readonly gatewayApiKeys: readonly string[];
}

interface Together {
  readonly roles: ReadonlySet<Role>;
  readonly problems: string[];
}

/** Each brand's mode: its own, else the one without a brand, else `after` if there is a gateway to ask. */
export function confirmModesOf(
  text: string,
  brands: readonly AskableBrand[],
  { roles, problems }: Together,
): ReadonlyMap<string, ConfirmMode> {
  const chosen = new Map<string, ConfirmMode>();
  for (const { brand, value } of parseBrandValues(text, couldBe.word)) {
    const mode = confirmModes.find((known) => known === value);
    if (mode === undefined) {
      problems.push(`CONFIRM: ${JSON.stringify(value.slice(0, 60))} is no mode; use after, before or off`);
    } else if (brand !== defaultBrand && !brands.some(({ name }) => name === brand)) {
      problems.push(`CONFIRM: there is no brand ${brand}; there is ${brands.map(({ name }) => name).join(', ')}`);
    } else chosen.set(brand, mode);
  }
  return new Map(
    brands.map((brand) => {
      const mode = chosen.get(brand.name) ?? chosen.get(defaultBrand);
      if (isAskable(brand)) return [brand.name, mode ?? 'after'];
      if (mode === 'before' || (mode === 'after' && roles.has('reconcile')))
        problems.push(notAskable(mode, brand.name));
      return [brand.name, mode ?? 'off'];
    }),
  );
}

function isAskable({ gatewayBaseUrl, gatewayApiKeys }: AskableBrand): boolean {
  return gatewayBaseUrl !== undefined && gatewayApiKeys.length > 0;
}

function notAskable(mode: ConfirmMode, brand: string): string {
  return `CONFIRM: ${mode} needs a gateway to ask, and the brand ${brand} has none; set GATEWAY_BASE_URL and GATEWAY_API_KEY, or use off`;
}
