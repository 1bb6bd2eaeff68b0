// Text and bytes there and back, then a clean end.

import { authorization, connected, newClient, observe, options } from "./_client.mjs";

const client = newClient({
  connectHeaders: authorization(options.token),
  onDisconnect: (frame) => observe("disconnected", { command: frame.command, headers: frame.headers }),
});
const isConnected = connected(client);
client.activate();
await isConnected;

const bodies = [...options.texts, ...options.binaries];
let left = bodies.length;
await new Promise((resolve) => {
  client.subscribe(options.destination, (message) => {
    observe("message", {
      hex: Buffer.from(message.binaryBody).toString("hex"),
      headers: message.headers,
    });
    left -= 1;
    if (left === 0) resolve();
  });
  for (const body of options.texts) {
    client.publish({ destination: options.destination, body, headers: { "x-note": "a:b\n€\\d" } });
  }
  for (const hex of options.binaries) {
    client.publish({
      destination: options.destination,
      binaryBody: Uint8Array.from(Buffer.from(hex, "hex")),
      headers: { "content-type": "application/octet-stream" },
    });
  }
});
await client.deactivate();
observe("deactivated");
