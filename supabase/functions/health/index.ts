import { endpoint } from "../_shared/endpoint.ts";
import { handle } from "./handler.ts";

export default { fetch: endpoint("health", handle) };
