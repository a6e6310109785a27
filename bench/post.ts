const ANSWER_TIMEOUT_MS = 30_000;

/**
 * Posts a body and reads the answer.
 *
 * @throws Error with the answer when it is none of success, or late
 */
export async function post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<void> {
  const response = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text.slice(0, 300)}`);
}
