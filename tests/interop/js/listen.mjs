// A client that only listens, while another one, whose token lives on, does not stop talking.

import { authorization, connected, confirmed, delay, newClient, observe, options } from "./_client.mjs";

const talker = newClient({ connectHeaders: authorization(options.talkerToken) });
talker.onWebSocketClose = () => {};
const talkerConnected = new Promise((resolve) => (talker.onConnect = resolve));
talker.activate();
await talkerConnected;

const listener = newClient({ connectHeaders: authorization(options.listenerToken) });
const listenerConnected = connected(listener);
const closed = new Promise((resolve) => {
  listener.onWebSocketClose = (event) => {
    observe("close", { code: event.code, reason: event.reason });
    resolve();
  };
});
listener.activate();
await listenerConnected;
await confirmed(listener, "subscribed", (headers) =>
  listener.subscribe(
    options.destination,
    (message) => observe("message", { sentAt: Number(message.body) }),
    headers,
  ),
);

let isClosed = false;
const talking = (async () => {
  while (!isClosed) {
    talker.publish({ destination: options.destination, body: String(Date.now() / 1000) });
    await delay(20);
  }
})();
await closed;
await delay(200);
isClosed = true;
await talking;
await confirmed(talker, "still here", (headers) =>
  talker.publish({ destination: options.destination, body: "0", headers }),
);
observe("talker confirmed");
await Promise.all([talker.deactivate(), listener.deactivate()]);
