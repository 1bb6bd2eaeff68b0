// What the scripts share: options in as JSON, observations out as one JSON line each.

import { readFileSync } from "node:fs";

import { Client } from "@stomp/stompjs";
import { WebSocket } from "ws";

// Browsers bring their own.
Object.assign(globalThis, { WebSocket });

export const options = JSON.parse(readFileSync(0, "utf8"));

export function observe(what, fields = {}) {
  console.log(JSON.stringify({ what, at: Date.now() / 1000, ...fields }));
}

export function newClient(fields) {
  return new Client({
    brokerURL: options.url,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    reconnectDelay: 0,
    onStompError: (frame) => observe("error", { headers: frame.headers, body: frame.body }),
    onWebSocketClose: (event) => observe("close", { code: event.code, reason: event.reason }),
    ...fields,
  });
}

export function authorization(token) {
  return { Authorization: `Bearer ${token}` };
}

// Once `client` is connected.
export function connected(client) {
  return new Promise((resolve) => {
    client.onConnect = (frame) => {
      observe("connected", { headers: frame.headers });
      resolve(frame);
    };
  });
}

// Once the server has confirmed what `send`, given a `receipt` header, sends.
export function confirmed(client, receipt, send) {
  return new Promise((resolve) => {
    client.watchForReceipt(receipt, resolve);
    send({ receipt });
  });
}

export function delay(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
