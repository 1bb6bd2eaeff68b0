// A client whose token is no good.

import { authorization, newClient, observe, options } from "./_client.mjs";

const client = newClient({
  connectHeaders: options.token === null ? {} : authorization(options.token),
  onConnect: () => observe("connected"),
});
client.onWebSocketClose = (event) => {
  observe("close", { code: event.code, reason: event.reason });
  client.deactivate();
};
client.activate();
