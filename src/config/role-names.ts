// The stages that a process can run; `all` stands for each of them.
export const roleNames = ['receive', 'work', 'reconcile'] as const;
export type Role = (typeof roleNames)[number];
