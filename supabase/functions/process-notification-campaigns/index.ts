import { endpoint } from "../_shared/endpoint.ts";
import { handle } from "./handler.ts";
import { SendSlots } from "./send_slots.ts";

const slots = new SendSlots();

export default {
  fetch: endpoint("process-notification-campaigns", (request, deps) => handle(request, { ...deps, slots })),
};
