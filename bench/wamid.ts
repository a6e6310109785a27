/** A new message id as Meta makes them: some 60 characters, in base64, that begin alike. */
export function wamid(contact: string): string {
  return `wamid.${btoa(`\x1d\x0c${contact}\x15\x02${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`)}`;
}
