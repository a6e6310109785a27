import { endpoint } from "../_shared/endpoint.ts";
import { withCors } from "../_shared/with_cors.ts";
import { handle } from "./handler.ts";

export default { fetch: withCors(endpoint("campaign-report", handle), "GET") };
