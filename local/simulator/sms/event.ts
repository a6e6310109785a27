/** One post of Twilio's: a status callback, or a message that somebody wrote. */
export interface SmsEvent {
  readonly url: string;
  readonly form: Readonly<Record<string, string>>;
}
