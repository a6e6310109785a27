import type { Deps } from "../../_shared/deps.ts";
import { failureResponse } from "../../_shared/failure_response.ts";
import { matchesSecret } from "../../_shared/matches_secret.ts";

/**
 * Answers Meta's question whether this address wants its events: the challenge, to whoever knows the token.
 *
 * Throws `EnvironmentError` while no token is configured, which becomes a 500.
 */
export function answerVerification(request: Request, { environment, log }: Deps): Response {
  const tokens = environment.list("WHATSAPP_VERIFY_TOKEN");
  const query = new URL(request.url).searchParams;
  const challenge = query.get("hub.challenge");
  const mayKnow = matchesSecret(query.get("hub.verify_token") ?? "", tokens);
  if (!mayKnow || query.get("hub.mode") !== "subscribe" || challenge === null) {
    return failureResponse({ code: "forbidden" });
  }
  log.info("webhook_verified");
  return new Response(challenge, {
    headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  });
}
