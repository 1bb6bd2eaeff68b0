// A token runs out under a client, which fetches another one, comes back and carries on.

import { authorization, newClient, observe, options } from "./_client.mjs";

let connections = 0;

const client = newClient({
  reconnectDelay: 50,
  beforeConnect: async (client) => {
    const response = await fetch(options.tokenUrl);
    client.connectHeaders = authorization(await response.text());
    observe("token");
  },
  onConnect: (frame) => {
    connections += 1;
    observe("connected", { headers: frame.headers });
    client.subscribe(options.destination, (message) => {
      observe("message", { body: message.body, headers: message.headers });
      if (connections === 2) {
        client.deactivate().then(() => observe("deactivated"));
      }
    });
    client.publish({ destination: options.destination, body: `hello ${connections}` });
  },
  onDisconnect: () => observe("disconnected"),
});

client.activate();
