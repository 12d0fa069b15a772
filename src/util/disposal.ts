/** @file Things that must be disposed of. */

/** What was made, once the rest of its making is done; disposed of when that throws. */
export function finished<T extends Disposable>(made: T, finish: (made: T) => void): T {
  using stack = new DisposableStack();
  stack.use(made);
  finish(made);
  stack.move();
  return made;
}
