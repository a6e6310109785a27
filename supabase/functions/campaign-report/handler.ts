import { z } from "zod";
import type { Deps } from "../_shared/deps.ts";
import type { Failure } from "../_shared/failure.ts";
import { failureResponse } from "../_shared/failure_response.ts";
import type { Result } from "../_shared/result.ts";
import { accessToken } from "./access_token.ts";
import { readPage } from "./read_page.ts";
import { streamPages } from "./stream_pages.ts";

const campaignId = z.guid().toLowerCase();

/**
 * The report of a campaign as a file: `GET ?campaign_id=…&format=csv`, with the access token of a user.
 *
 * Answers text/csv, as it is read from the database with that user's own rights. Refuses, before anything of the file is
 * sent: 405, 401 without a token that the database API takes, 400 for a malformed query, 404 for a campaign that is not
 * the user's to see, 503 while the database is away. Later than that, it breaks the connection off.
 */
export async function handle(request: Request, deps: Deps): Promise<Response> {
  if (request.method !== "GET") {
    return failureResponse({ code: "method_not_allowed", headers: { allow: "GET, OPTIONS" } });
  }
  const token = accessToken(request);
  if (token === undefined) return failureResponse({ code: "unauthorized" });
  const query = parseQuery(new URL(request.url).searchParams);
  if (!query.ok) return failureResponse(query.failure);

  const id = query.value;
  const rpc = deps.rpcAs(token);
  const first = await readPage(rpc, id, null, deps.log);
  if (!first.ok) return failureResponse(first.failure);
  const body = streamPages(first.value, (after) => readPage(rpc, id, after, deps.log), (end, pages) => {
    const fields = { campaign_id: id, pages };
    if (end === "failed") deps.log.error("report_broken_off", fields);
    else deps.log.info(end === "complete" ? "report_complete" : "report_cancelled", fields);
  });
  return new Response(body, {
    headers: {
      "content-type": "text/csv; charset=utf-8",
      // of hexadecimal digits and hyphens alone: nothing in it can end the quotes, or the header
      "content-disposition": `attachment; filename="campaign-report-${id}.csv"`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}

/** The campaign that is asked for. */
function parseQuery(query: URLSearchParams): Result<string> {
  const malformed = (detail: string): { ok: false; failure: Failure } => ({
    ok: false,
    failure: { code: "malformed_query", detail },
  });
  if ((query.get("format") ?? "csv") !== "csv") return malformed("format: csv is the only one");
  const parsed = campaignId.safeParse(query.get("campaign_id"));
  return parsed.success
    ? { ok: true, value: parsed.data }
    : malformed("campaign_id: must be the id of a campaign, a uuid");
}
