// Around textual-serve's terminal: which server and key, the keys of a phone, and what happens at the end.
"use strict";
(() => {
  const COLUMNS_MIN = 48, FONT_MAX_PX = 16, FONT_MIN_PX = 9, CELL_OF_FONT = 0.6, SWIPE_PX = 24;
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  const touch = matchMedia("(pointer: coarse)").matches;
  const key = localStorage.getItem("nova-key") || "none";
  const find = (id) => document.getElementById(id);
  let wire = null;

  const ENDS = {
    1001: ["The server was stopped", "Start it again where it ran: nova console --web"],
    4000: ["You left the console", "The server goes on."],
    4408: ["Nobody typed for long", "The tab was closed to make room."],
    4410: ["Your time here is over", "Sign in again, or ask for a new link."],
    4429: ["Too many tabs are open", "Close one here or elsewhere."],
    4500: ["The console ended by itself", "The terminal that the server runs in says why."],
  };
  const GONE = ["The server does not answer", "It was ended, or the network is gone."];

  // textual.js makes its own connection: this lends it the key, and keeps hold of it.
  class Wire extends WebSocket {
    constructor(url) {
      super(`${url}&light=${Number(light)}`, ["nova", key]);
      wire = this;
      this.addEventListener("close", (event) => ended(event.code));
    }
    send(data) {
      if (this.readyState === WebSocket.OPEN) super.send(data);
    }
  }
  window.WebSocket = Wire;

  const send = (text) => wire && wire.send(JSON.stringify(["stdin", text]));
  const ask = (path, method = "GET") => fetch(path, { method, headers: { "Nova-Key": key }, cache: "no-store" });

  function ended(code) {
    if (code === 4401) return location.replace("/enter");
    const [why, hint] = ENDS[code] || GONE;
    find("why").textContent = why;
    find("hint").textContent = hint;
    if (!find("closed").open) find("closed").showModal();
  }

  async function again() {
    const button = find("again");
    button.disabled = true;
    try {
      await ask("/who");
      location.reload();
    } catch {
      find("hint").textContent = `Still no answer at ${new Date().toLocaleTimeString()}.`;
    }
    button.disabled = false;
  }

  async function tellWho() {
    const reply = await ask("/who");
    if (!reply.ok) return;
    const said = await reply.json();
    find("name").textContent = said.who;
    find("only").hidden = said.acts;
  }

  async function signOut() {
    await ask("/sign-out", "POST").catch(() => null);
    localStorage.removeItem("nova-key");
    location.replace("/enter");
  }

  function typeWith(keyboard) {
    const area = document.querySelector(".xterm-helper-textarea");
    if (!area) return;
    area.inputMode = keyboard ? "text" : "none";
    find("keyboard").setAttribute("aria-pressed", String(keyboard));
    area.blur();
    area.focus();
  }

  function swipes(terminal) {
    let at = null;
    terminal.addEventListener("touchstart", (event) => { at = event.touches[0].clientY; }, { passive: true });
    terminal.addEventListener("touchmove", (event) => {
      const now = event.touches[0].clientY;
      for (; at - now > SWIPE_PX; at -= SWIPE_PX) send("\x1b[B");
      for (; now - at > SWIPE_PX; at += SWIPE_PX) send("\x1b[A");
    }, { passive: true });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const terminal = find("terminal");
    const fitting = Math.floor(document.documentElement.clientWidth / COLUMNS_MIN / CELL_OF_FONT * 2) / 2;
    terminal.dataset.fontSize = String(Math.max(FONT_MIN_PX, Math.min(FONT_MAX_PX, fitting)));
    terminal.dataset.sessionWebsocketUrl = `${location.protocol.replace("http", "ws")}//${location.host}/ws`;
    for (const button of document.querySelectorAll("[data-send]")) {
      button.addEventListener("mousedown", (event) => event.preventDefault()); // the terminal keeps the focus
      button.addEventListener("click", () => send(button.dataset.send));
    }
    find("keyboard").addEventListener("click", () => typeWith(find("keyboard").ariaPressed !== "true"));
    find("again").addEventListener("click", again);
    find("out").addEventListener("click", signOut);
    swipes(terminal);
    tellWho().catch(() => null);
    if (navigator.serviceWorker) navigator.serviceWorker.register("/sw.js").catch(() => null);
  });
  // It measures the font when it starts, so the font comes first; it starts in `onload`.
  window.addEventListener("load", async () => {
    await document.fonts.load("16px 'Roboto Mono'").catch(() => null);
    const script = document.createElement("script");
    script.addEventListener("load", () => {
      window.onload();
      if (touch) typeWith(false); else document.querySelector(".xterm-helper-textarea").focus();
    });
    script.src = "/textual.js";
    document.body.append(script);
  });
})();
