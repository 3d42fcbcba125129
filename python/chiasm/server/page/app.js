// The page: what the buttons and keys do.
import * as api from "./api.js";
import * as media from "./media.js";
import * as search from "./search.js";
import * as store from "./store.js";
import * as tiles from "./tiles.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const state = { chat: fresh(), pictures: [], model: null, speech: null, running: null, recording: null };

function fresh() {
  return { id: crypto.randomUUID?.() ?? String(Date.now()), title: "", messages: [] };
}

// Chats

function refresh() {
  view.chats(store.chats(), state.chat.id, openChat, (chat) => {
    store.forget(chat.id);
    if (chat.id === state.chat.id) newChat();
    refresh();
  });
}

function openChat(chat) {
  stop();
  state.chat = chat;
  view.clear();
  chat.messages.forEach((message) => view.show(message));
  closeSide();
  refresh();
}

function newChat() {
  stop();
  state.chat = fresh();
  view.clear();
  closeSide();
  refresh();
  $("words").focus();
}

function save() {
  const slim = ({ pictures, ...message }) => ({
    ...message,
    pictures: pictures?.map((p) => ({ url: p.kept ?? p.url, kept: p.kept })),
  });
  store.keep({ ...state.chat, messages: state.chat.messages.map(slim) });
  refresh();
}

function closeSide() {
  $("side").classList.remove("open");
  $("menu").ariaExpanded = "false";
}

// Asking

/** Messages as the API takes them; failed answers and what led to them stay out. */
function wire() {
  const { system } = store.settings();
  const out = system.trim() ? [{ role: "system", content: system }] : [];
  const said = state.chat.messages;
  said.forEach((message, i) => {
    if (message.wrong || said[i + 1]?.wrong) return;
    const pictures = (message.pictures ?? []).map((p) => ({ type: "image_url", image_url: { url: p.url } }));
    const words = message.text ? [{ type: "text", text: message.text }] : [];
    const content = pictures.length ? [...pictures, ...words] : message.text;
    if (content) out.push({ role: message.role, content });
  });
  return out;
}

function sampling() {
  const { system, ...rest } = store.settings();
  const given = Object.entries(rest).filter(([, value]) => value !== "");
  return Object.fromEntries(given.map(([name, value]) => [name, Number(value)]));
}

async function ask() {
  const text = $("words").value.trim();
  if (state.running || !state.model || (!text && state.pictures.length === 0)) return;
  const question = { role: "user", text, pictures: state.pictures };
  state.chat.messages.push(question);
  state.chat.title ||= text.slice(0, 60) || "A picture";
  view.show(question);
  const request = { model: state.model.id, messages: wire(), ...sampling() };
  state.pictures = [];
  view.shelf([], () => {});
  $("words").value = "";
  grow();

  const chat = state.chat;
  const said = { role: "assistant", text: "" };
  const shown = view.show(said).busy();
  const control = (state.running = new AbortController());
  busy(true);
  try {
    const facts = await api.answer(request, control.signal, (piece) => {
      said.text += piece;
      shown.add(piece);
    });
    said.facts = facts;
  } catch (error) {
    if (control.signal.aborted) said.facts = { finish: "stopped" };
    else said.wrong = error.message;
  }
  if (said.facts) shown.end(said.facts);
  else shown.fail(said.wrong);
  chat.messages.push(said);
  if (chat === state.chat) save();
  if (state.running === control) {
    state.running = null;
    busy(false);
  }
}

function stop() {
  state.running?.abort();
  state.running = null;
  busy(false);
}

function busy(on) {
  $("send").hidden = on;
  $("stop").hidden = !on;
  $("log").ariaBusy = String(on);
}

// Media

async function take(files) {
  for (const file of files) {
    if (file.type.startsWith("image/")) {
      try {
        state.pictures.push(await media.picture(file));
      } catch (error) {
        complain(`${file.name}: ${error.message}`);
      }
    } else if (file.type.startsWith("audio/")) {
      await hear(file, file.name);
    } else {
      complain(`${file.name}: neither a picture nor a sound`);
    }
  }
  shelve();
  $("words").focus();
}

function shelve() {
  view.shelf(state.pictures, (i) => {
    state.pictures.splice(i, 1);
    shelve();
    $("words").focus();
  });
}

async function hear(sound, name) {
  if (!state.speech) return complain("this server has no model that writes down speech");
  const words = $("words");
  words.placeholder = "Listening…";
  try {
    words.value = `${words.value} ${await api.transcribe(state.speech.id, sound, name)}`.trim();
  } catch (error) {
    complain(error.message);
  }
  words.placeholder = "Ask anything";
  grow();
}

async function toggleRecording() {
  try {
    if (state.recording) {
      const finish = state.recording;
      state.recording = null;
      $("record").classList.remove("on");
      await hear(await finish(), "speech.wav");
    } else {
      state.recording = await media.record();
      $("record").classList.add("on");
    }
  } catch (error) {
    complain(error.message);
  }
}

const complain = (message) => view.show({ role: "assistant", text: "" }).fail(message);

// Settings

function fillSettings() {
  const values = store.settings();
  for (const field of $("settings").querySelectorAll("[name]")) {
    field.value = values[field.name];
    tell(field);
  }
}

function tell(field) {
  const output = field.parentElement.querySelector("output");
  if (output) output.textContent = Number(field.value).toFixed(2);
}

function keepSettings(event) {
  tell(event.target);
  if (!event.target.checkValidity()) return;
  store.saveSettings({ ...store.settings(), [event.target.name]: event.target.value });
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
}

function setTiles(on) {
  $("tiles").ariaPressed = String(on);
  tiles.show(on, state.model.id);
}

function grow() {
  const words = $("words");
  words.style.height = "auto";
  words.style.height = `${words.scrollHeight}px`;
}

// Wiring

$("composer").onsubmit = (event) => {
  event.preventDefault();
  ask();
};
$("words").oninput = grow;
$("words").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    ask();
  }
};
$("stop").onclick = stop;
$("new").onclick = newChat;
$("attach").onclick = () => $("files").click();
$("files").onchange = (event) => {
  take([...event.target.files]);
  event.target.value = "";
};
$("tiles").onclick = () => {
  const on = $("tiles").ariaPressed !== "true";
  store.saveTiled(on);
  setTiles(on);
};
$("record").onclick = toggleRecording;
$("menu").onclick = () => ($("menu").ariaExpanded = String($("side").classList.toggle("open")));
$("log").onclick = closeSide;
$("theme").onclick = () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  store.saveTheme(next);
  setTheme(next);
};
$("tune").onclick = () => {
  fillSettings();
  $("settings").showModal();
};
$("settings").oninput = keepSettings;
$("reset").onclick = () => {
  store.saveSettings(store.DEFAULTS);
  fillSettings();
};
document.onkeydown = (event) => {
  if (event.key === "Escape" && state.running && !$("settings").open) stop();
  if (event.ctrlKey && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    newChat();
  }
};
document.onpaste = (event) => {
  const files = [...event.clipboardData.files];
  if (files.length === 0) return;
  event.preventDefault();
  take(files);
};
let inside = 0;
document.ondragenter = () => ($("drop").hidden = ++inside === 0);
document.ondragleave = () => ($("drop").hidden = --inside === 0);
document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => {
  event.preventDefault();
  inside = 0;
  $("drop").hidden = true;
  take([...event.dataTransfer.files]);
};

setTheme(store.theme());
refresh();
busy(false);
$("words").focus();
try {
  const found = await api.models();
  state.model = found.find((m) => m.role === "chat") ?? null;
  state.speech = found.find((m) => m.role === "speech") ?? null;
  $("model").textContent = state.model?.id ?? "no chat model";
  $("attach").hidden = $("tiles").hidden = !state.model?.sees;
  if (state.model?.sees) setTiles(store.tiled());
  $("record").hidden = !state.speech || !navigator.mediaDevices;
  await search.begin(state.model !== null);
} catch (error) {
  $("model").textContent = "not connected";
  complain(error.message);
}
