const DELIMITERS = [",", ";", "\t"] as const;

/** What separates the columns: of comma, semicolon and tab the one that the header has most of, outside quotes. */
export function delimiterOf(header: string): string {
  const bare = header.replace(/"(?:[^"]|"")*"/g, "");
  const count = (delimiter: string) => bare.split(delimiter).length;
  return DELIMITERS.reduce((best, delimiter) => count(delimiter) > count(best) ? delimiter : best);
}
