/**
 * What tells completions apart: `user_data` is `index | kind << 28` in its low word and the generation in its high
 * one. A completion that comes late can thus never reach another operation. Source: seeds X-31.
 */

export const KIND_SHIFT = 28;
export const INDEX_MASK = (1 << KIND_SHIFT) - 1;
export const KIND_OPERATION = 0;
export const KIND_CANCEL = 1;
export const KIND_ALARM = 2;
/** Completions nobody waits for. */
export const KIND_NONE = 3;
