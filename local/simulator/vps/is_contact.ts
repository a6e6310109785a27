/** Whether a chat is one person's and not a group's. */
export function isContact(jid: string): boolean {
  return jid.endsWith("@s.whatsapp.net");
}
