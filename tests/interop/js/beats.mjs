// Heart-beats both ways, for as long as it takes to see some of each.

import { authorization, connected, newClient, observe, options } from "./_client.mjs";

const wanted = 2;
let sent = 0;
let received = 0;
let enough;
const seen = new Promise((resolve) => (enough = resolve));

const client = newClient({
  connectHeaders: authorization(options.token),
  heartbeatIncoming: options.milliseconds,
  heartbeatOutgoing: options.milliseconds,
  debug: (line) => {
    sent += line === ">>> PING";
    received += line === "<<< PONG";
    if (sent >= wanted && received >= wanted) enough();
  },
});
const isConnected = connected(client);
client.activate();
await isConnected;
await seen;
observe("beats", { sent, received, isConnected: client.connected });
await client.deactivate();
