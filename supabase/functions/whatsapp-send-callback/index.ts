import { endpoint } from "../_shared/endpoint.ts";
import { handle } from "./handler.ts";

export default { fetch: endpoint("whatsapp-send-callback", handle) };
