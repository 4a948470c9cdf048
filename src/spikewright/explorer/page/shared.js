// What both pages share: elements, the status, lists of choices, and the socket to the server.
import { unpack } from "./message.js";

export const element = (name) => document.getElementById(name);

export function showStatus(text, wrong = false) {
  if (element("status").textContent !== text) element("status").textContent = text; // else it is read out again
  element("status").classList.toggle("wrong", wrong);
}

// Choose in a list; what it lacks, and an address, a conversion or a run has, is added.
export function choose(name, value, words = String) {
  const list = element(name);
  const text = String(value ?? "");
  if (![...list.options].some((option) => option.value === text)) list.add(new Option(words(value), text));
  list.value = text;
}

// Messages go to `take`; `ended` is the status once the server has ended.
export function connect(take, ended) {
  const socket = new WebSocket(new URL("socket", location.href.split("#")[0]).href.replace(/^http/, "ws"));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => take(typeof data === "string" ? JSON.parse(data) : unpack(data));
  socket.onclose = () => showStatus(ended, true);
  return socket;
}
