import type { NewRecipient } from "./read_recipient.ts";

/** What became of the rows of a chunk. */
export interface ChunkCounts {
  readonly added: number;
  /** There already, or earlier in the file, in the same spelling. */
  readonly duplicates: number;
  /** Of somebody who is there already: stored, and skipped. */
  readonly otherSpellings: number;
  readonly refused: number;
  /** Places in the chunk, from 0, and why; the first 100. */
  readonly problems: readonly { readonly index: number; readonly reason: string }[];
}

/** Takes chunks of up to 10,000, one after the other. */
export type TakeChunk = (recipients: readonly NewRecipient[]) => Promise<ChunkCounts>;
