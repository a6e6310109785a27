/** What became of the events of a post: how many were recorded, duplicates, journaled and so on. */
export type Counts = Readonly<Record<string, number>>;
