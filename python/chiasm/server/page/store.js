// What stays in the browser: chats, settings, the theme.

const CHATS = "chiasm.chats";
const SETTINGS = "chiasm.settings";
const THEME = "chiasm.theme";
const TILES = "chiasm.tiles";
export const DEFAULTS = { system: "", temperature: 0.7, top_p: 1, top_k: "", max_tokens: "", repetition_penalty: "", seed: "" };

function read(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Chats, the latest first: [{id, title, messages}]. */
export const chats = () => read(CHATS, []);

/** Keeps a chat; the oldest ones go when the browser's room is used up. */
export function keep(chat) {
  let all = [chat, ...chats().filter((other) => other.id !== chat.id)];
  while (all.length > 0) {
    try {
      localStorage.setItem(CHATS, JSON.stringify(all));
      return;
    } catch {
      all = all.slice(0, -1);
    }
  }
}

export function forget(id) {
  localStorage.setItem(CHATS, JSON.stringify(chats().filter((chat) => chat.id !== id)));
}

export const settings = () => ({ ...DEFAULTS, ...read(SETTINGS, {}) });
export const saveSettings = (values) => localStorage.setItem(SETTINGS, JSON.stringify(values));

export function theme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  return read(THEME, null) ?? system;
}
export const saveTheme = (name) => localStorage.setItem(THEME, JSON.stringify(name));

/** Whether tiles are drawn over pictures. */
export const tiled = () => read(TILES, false) === true;
export const saveTiled = (on) => localStorage.setItem(TILES, JSON.stringify(on));
