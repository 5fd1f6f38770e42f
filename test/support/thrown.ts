/** What an operation throws, for tests that look at the error itself. */
export function* thrownBy(operation: Iterable<unknown>): Generator<unknown, any, any> {
  try {
    yield* operation as Generator<unknown, unknown, any>;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
