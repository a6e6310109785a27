/** One element of Meta's webhook, and the list of it in which it belongs. */
export interface CloudApiEvent {
  /** The number it is about. */
  readonly phoneNumberId: string;
  readonly list: "statuses" | "messages" | "user_preferences";
  readonly element: unknown;
  /** What the list `contacts` beside it says of the person. */
  readonly person: unknown;
}
