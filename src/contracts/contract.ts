/** @file A contract: what must hold of any implementation of an interface, for whatever test runner its author uses. */

export interface ContractCheck {
  /** What must hold. */
  readonly name: string;
  /** @throws Error naming what was found instead */
  readonly check: () => Promise<void>;
}

export function must(condition: unknown, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}
