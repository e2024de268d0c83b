// Makes the console installable. It keeps no data: when the server does not answer, it says so.
"use strict";
const GONE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Nova</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="dark light">
<body style="font:16px/1.5 ui-monospace,monospace;display:grid;place-content:center;height:100vh;margin:0 2rem">
<h1>The server does not answer</h1><p>Start it again where it ran: nova console --web</p><a href="">Try again</a>`;
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.mode !== "navigate") return;
  event.respondWith(fetch(event.request).catch(() => new Response(GONE, {
    status: 503,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    },
  })));
});
