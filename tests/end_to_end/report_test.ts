import { parse } from "csv-parse/sync";
import assert from "node:assert/strict";
import { z } from "zod";
import { anonymousClient, dataOf, type Person, serviceClient, signUp } from "../harness/http.ts";
import { connect, createContactCampaign, testStack } from "../harness/mod.ts";

/** More than a page. */
const RECIPIENTS = 1203;
const reportPage = z.array(z.object({ recipient: z.string(), status: z.string(), cost: z.number().nullable() }));
const records = z.array(z.object({ recipient: z.string(), status: z.string(), error_message: z.string() }));

/** A campaign with some failures, and people around it. */
async function withCampaign(
  body: (campaign: { readonly id: string; readonly viewer: Person; readonly stranger: Person }) => Promise<void>,
): Promise<void> {
  const [viewer, stranger] = [await signUp("viewer"), await signUp("owner")];
  const sql = connect(testStack().databaseUrl, 2);
  try {
    const { id } = await createContactCampaign(sql, {
      organizationId: viewer.organizationId,
      // nothing that another test could claim
      status: "draft",
      recipients: RECIPIENTS,
    });
    await sql`
      update public.notification_campaign_recipients
      set status = 'failed', failure_class = 'unknown', error_code = '1', error_message = ${'=HYPERLINK("http://x", "é")'}, cost = 0.05
      where campaign_id = ${id} and recipient like '%7'
    `;
    await body({ id, viewer, stranger });
  } finally {
    await sql`delete from public.organizations where id in (${viewer.organizationId}, ${stranger.organizationId})`;
    await sql.end({ timeout: 5 });
  }
}

async function tokenOf({ client }: Person): Promise<string> {
  const { data } = await client.auth.getSession();
  return data.session?.access_token ?? assert.fail("nobody is signed in");
}

async function request(query: string, init: RequestInit = {}): Promise<Response> {
  return await fetch(`${testStack().apiUrl}/functions/v1/campaign-report${query}`, {
    ...init,
    signal: AbortSignal.timeout(30_000),
  });
}

Deno.test("a viewer pages through a report, and fetches the same as a file", async () => {
  await withCampaign(async ({ id, viewer }) => {
    const paged: z.infer<typeof reportPage> = [];
    for (let after: string | null = null; paged.length < RECIPIENTS;) {
      const page = reportPage.parse(
        dataOf(
          await viewer.client.rpc("campaign_report", {
            p_campaign_id: id,
            ...after === null ? {} : { p_after: after },
          }),
        ),
      );
      assert.ok(page.length > 0, "a page");
      paged.push(...page);
      after = page.at(-1)?.recipient ?? null;
    }
    assert.equal(new Set(paged.map(({ recipient }) => recipient)).size, RECIPIENTS);

    const headers = { authorization: `Bearer ${await tokenOf(viewer)}`, apikey: testStack().publishableKey };
    const fetched = await request(`?campaign_id=${id}&format=csv`, { headers });
    const bytes = new Uint8Array(await fetched.arrayBuffer());
    assert.equal(fetched.status, 200);
    assert.equal(fetched.headers.get("content-type"), "text/csv; charset=utf-8");
    assert.equal(fetched.headers.get("content-disposition"), `attachment; filename="campaign-report-${id}.csv"`);
    assert.equal(fetched.headers.get("access-control-allow-origin"), "*");
    assert.deepEqual([...bytes.slice(0, 3)], [0xef, 0xbb, 0xbf]);
    const text = new TextDecoder().decode(bytes);
    const rows = records.parse(parse(text, { columns: true }));
    assert.deepEqual(
      rows.map(({ recipient, status }) => [recipient, status]),
      paged.map(({ recipient, status }) => [`'${recipient}`, status]),
    );
    assert.equal(rows.find(({ status }) => status === "failed")?.error_message, `'=HYPERLINK("http://x", "é")`);

    const invoked = await viewer.client.functions.invoke(`campaign-report?campaign_id=${id}`, { method: "GET" });
    assert.equal(dataOf(invoked), text);

    const summary = dataOf(await viewer.client.rpc("failure_summary", { p_campaign_id: id }));
    const costs = dataOf(await viewer.client.rpc("campaign_costs", { p_campaign_id: id }));
    const failed = paged.filter(({ status }) => status === "failed").length;
    assert.ok(failed > 0);
    assert.equal(z.array(z.object({ recipient_count: z.number() })).parse(summary)[0]?.recipient_count, failed);
    assert.deepEqual(costs, [{ currency: null, message_count: failed, cost: Math.round(failed * 5) / 100 }]);
  });
});

Deno.test("a report is refused to whoever may not see it, and a wrong request is told what is wrong", async () => {
  await withCampaign(async ({ id, viewer, stranger }) => {
    const token = await tokenOf(viewer);
    const [head, claims, signature] = token.split(".");
    const forged = [
      head,
      btoa(JSON.stringify({ sub: viewer.userId, role: "service_role" })).replaceAll("=", ""),
      signature,
    ].join(".");
    const none = [
      btoa('{"alg":"none","typ":"JWT"}').replaceAll("=", ""),
      claims,
      "x",
    ].join(".");
    const asked = async (query: string, bearer?: string, method = "GET") => {
      const headers: Record<string, string> = { apikey: testStack().publishableKey };
      if (bearer !== undefined) headers.authorization = `Bearer ${bearer}`;
      const response = await request(query, { method, headers });
      await response.body?.cancel();
      return response.status;
    };
    const query = `?campaign_id=${id}`;
    assert.equal(await asked(query), 401);
    for (const bearer of [testStack().publishableKey, testStack().secretKey, "a.b.c", forged, none]) {
      assert.equal(await asked(query, bearer), 401, bearer);
    }
    assert.equal(await asked(query, await tokenOf(stranger)), 404);
    assert.equal(await asked(`?campaign_id=${crypto.randomUUID()}`, token), 404);
    assert.equal(await asked("?campaign_id=all", token), 400);
    assert.equal(await asked(query, token, "POST"), 405);
    const preflight = await request(query, {
      method: "OPTIONS",
      headers: { origin: "https://crm.example", "access-control-request-method": "GET" },
    });
    await preflight.body?.cancel();
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /authorization/);

    const invoked = await stranger.client.functions.invoke(`campaign-report${query}`, { method: "GET" });
    assert.ok(invoked.error !== null && invoked.data === null);
    const unsigned = await anonymousClient().functions.invoke(`campaign-report${query}`, { method: "GET" });
    assert.ok(unsigned.error !== null && unsigned.data === null);

    // whoever leaves sees nothing more, their token notwithstanding
    const service = serviceClient();
    dataOf(await service.from("organization_members").delete().eq("user_id", viewer.userId));
    assert.equal(await asked(query, token), 404);
  });
});
