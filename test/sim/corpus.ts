/**
 * Seeds that have found a bug once, here or in the library: they are run before all others, for ever. A seed becomes
 * another program when scenes are added; the bugs themselves have tests of their own, in regressions.test.ts.
 */
export const CORPUS: readonly number[] = [
  // A reset that only a send was told of looked to the reader like the end of the stream.
  2, 306, 514,
  // A connection that had timed out was said to have taken longer than the caller's own limit.
  1324,
  // A completion that came twice was taken for that of a cancel on its way, and its buffer for new bytes.
  27279,
  // The close of a direct descriptor was written over another submission when the queue was full.
  1163, 28316,
  // Kills of branches, and versions that a kill leaves in doubt: mistakes of the programs themselves.
  10, 40, 907,
];
