/** A counter that is one thing as it is kept, and another when it is recounted. */
export interface Discrepancy {
  readonly campaignId: string;
  /** The campaign's name. */
  readonly campaign: string;
  /** null: a counter of the campaign itself. */
  readonly recipientId: string | null;
  readonly counter: string;
  readonly stored: number;
  readonly actual: number;
  /** What is kept too much, negative: too little. */
  readonly difference: number;
  readonly isMended: boolean;
}

/** What a recount came to. */
export interface Report {
  readonly command: "check" | "repair";
  /** How many campaigns were recounted. */
  readonly campaigns: number;
  /** By campaign; its own counters first. */
  readonly discrepancies: readonly Discrepancy[];
  /** False where a signal ended it early. */
  readonly isComplete: boolean;
}
