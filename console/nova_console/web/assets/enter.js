// Asks the server for a code, shows it, and waits until a member has approved it.
"use strict";
const POLL_MS = 1500;
const find = (id) => document.getElementById(id);
const show = (id, on = true) => { find(id).hidden = !on; };
const say = (text) => { find("trouble").textContent = text; };
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const post = (path, body = {}) => fetch(path, {
  method: "POST", cache: "no-store", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});

async function begin() {
  show("ended", false);
  const reply = await post("/sign-in");
  if (reply.status === 204) return show("link"); // nobody signs in here
  const said = await reply.json();
  if (!reply.ok) {
    say(said.message);
    return show("ended");
  }
  say("");
  find("mesh").textContent = said.mesh;
  find("code").textContent = said.code;
  find("target").textContent = `${said.code}@${location.host}`;
  show("sign-in");
  await wait(said.secret, Date.now() + said.lasts_s * 1000);
}

async function wait(secret, until) {
  for (;;) {
    await pause(POLL_MS);
    const left = Math.max(0, Math.round((until - Date.now()) / 1000));
    find("left").textContent = `The code counts for ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} more.`;
    const reply = await post("/sign-in/poll", { secret });
    if (reply.status === 202) continue;
    if (reply.ok) {
      localStorage.setItem("nova-key", (await reply.json()).key);
      return location.replace("/");
    }
    say("This code has ended.");
    show("sign-in", false);
    return show("ended");
  }
}

const guarded = () => begin().catch(() => { say("The server does not answer."); show("sign-in", false); show("ended"); });
find("again").addEventListener("click", guarded);
find("copy").addEventListener("click", () => navigator.clipboard?.writeText(find("command").textContent));
guarded();
