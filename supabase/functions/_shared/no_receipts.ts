/** The counts of a post that holds no receipt. */
export const noReceipts = { recorded: 0, duplicates: 0, parked: 0, journaled: 0 } as const;
