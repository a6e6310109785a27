/** What Twilio says under each code that the simulator gives. */
const WORDS: Readonly<Record<string, string>> = {
  "20003": "Authentication Error - invalid username",
  "20404": "The requested resource was not found",
  "20429": "Too Many Requests",
  "20500": "Internal Server Error",
  "20503": "Service unavailable",
  "21211": "Invalid 'To' Phone Number",
  "21602": "A text message body or media urls must be specified.",
  "21603": "A 'From' phone number is required.",
  "21609": "The 'StatusCallback' URL is not a valid URL.",
  "21610": "Attempt to send to unsubscribed recipient",
  "21614": "'To' number is not a valid mobile number",
};

/** An error as Twilio's API answers it. */
export function errorAnswer(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Response {
  const error = {
    code: Number(code),
    message: WORDS[code] ?? "Unknown error",
    more_info: `https://www.twilio.com/docs/errors/${code}`,
    status,
  };
  return Response.json(error, { status, headers: { ...headers } });
}
