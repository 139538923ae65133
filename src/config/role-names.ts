// The roles that a process can run; `all` means every one.
export const roleNames = ['receive', 'work', 'reconcile'] as const;
export type Role = (typeof roleNames)[number];
