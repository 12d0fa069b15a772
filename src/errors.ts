/** @file The error type of the project. Messages follow `<where>: <what must hold>, got <actual> — <what to do>`. */

export type ErrorCode = "CONFIG" | "SHAPE" | "DATA" | "ONNX" | "BACKEND" | "DIVERGED" | "INFEASIBLE" | "NOT_REACHED" | "STORE" | "INTERNAL";

/** Exit code of the command line for each error code: 2 usage, 3 infeasible, 4 not reached (best saved), 1 anything else. */
export const EXIT_CODES = {
  CONFIG: 2,
  SHAPE: 1,
  DATA: 1,
  ONNX: 1,
  BACKEND: 1,
  DIVERGED: 1,
  INFEASIBLE: 3,
  NOT_REACHED: 4,
  STORE: 1,
  INTERNAL: 1,
} as const satisfies Record<ErrorCode, number>;

/** An error whose message is written for the user: one line, whatever names from files it quotes. */
export class AppError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message.replaceAll(/\p{Cc}+/gu, " "), options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Throws a SHAPE error with a lazily built message, so that checks cost nothing in hot paths. */
export function assertShape(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new AppError("SHAPE", message());
}

/** Throws an INTERNAL error: an invariant of ours is broken, not the user's input. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AppError("INTERNAL", `internal: ${message}`);
}
