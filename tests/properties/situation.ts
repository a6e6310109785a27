/** Where a recipient stands before the events of its history come in. */
export interface Situation {
  readonly name: string;
  /** How often it was claimed. */
  readonly claims: 0 | 1 | 2;
  readonly status: "pending" | "processing" | "unconfirmed";
  readonly unconfirmedPolicy: "retry" | "hold";
  readonly onTransientError: "fail" | "retry";
  readonly maxAttempts: number;
}

const sending = { claims: 1, status: "processing", maxAttempts: 3 } as const;

/** Every situation in which evidence may arrive. */
export const situations = [
  {
    name: "never claimed",
    claims: 0,
    status: "pending",
    unconfirmedPolicy: "retry",
    onTransientError: "fail",
    maxAttempts: 3,
  },
  { name: "being sent", ...sending, unconfirmedPolicy: "retry", onTransientError: "retry" },
  { name: "being sent, fail on errors", ...sending, unconfirmedPolicy: "retry", onTransientError: "fail" },
  { name: "being sent, hold if unconfirmed", ...sending, unconfirmedPolicy: "hold", onTransientError: "retry" },
  {
    name: "being sent for the only time",
    ...sending,
    unconfirmedPolicy: "retry",
    onTransientError: "retry",
    maxAttempts: 1,
  },
  {
    name: "back to pending",
    claims: 1,
    status: "pending",
    unconfirmedPolicy: "retry",
    onTransientError: "retry",
    maxAttempts: 3,
  },
  {
    name: "being sent again",
    claims: 2,
    status: "processing",
    unconfirmedPolicy: "retry",
    onTransientError: "retry",
    maxAttempts: 3,
  },
  {
    name: "being sent again for the last time",
    claims: 2,
    status: "processing",
    unconfirmedPolicy: "retry",
    onTransientError: "retry",
    maxAttempts: 2,
  },
  {
    name: "held for a person",
    claims: 1,
    status: "unconfirmed",
    unconfirmedPolicy: "hold",
    onTransientError: "retry",
    maxAttempts: 3,
  },
] as const satisfies readonly Situation[];
