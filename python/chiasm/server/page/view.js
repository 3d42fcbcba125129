// What a conversation looks like.
import { element } from "./element.js";
import { figure } from "./tiles.js";

const $ = (id) => document.getElementById(id);

const number = (value, digits = 1) => value.toLocaleString(undefined, { maximumFractionDigits: digits });

/** One line of figures under an answer. */
function facts({ usage, timings, finish }) {
  const out = [];
  if (usage) {
    const { cached_tokens: cached, image_tokens: image } = usage.prompt_tokens_details;
    const of = [image && `${image} of pictures`, cached && `${cached} cached`].filter(Boolean);
    out.push(`${usage.prompt_tokens} tokens in${of.length ? ` (${of.join(", ")})` : ""}`);
    out.push(`${usage.completion_tokens} out`);
  }
  if (timings) {
    if (timings.first !== null) out.push(`first after ${number(timings.first, 2)} s`);
    if (timings.encode >= 0.005) out.push(`${number(timings.encode, 2)} s looking`);
    const rest = usage.completion_tokens - 1;
    if (rest > 0 && timings.decode > 0) out.push(`${number(rest / timings.decode)} tokens/s`);
  }
  if (finish === "length") out.push("cut at the longest answer");
  if (finish === "stopped") out.push("stopped");
  return out.join(" · ");
}

/** A message in the log. Returns {add(text), end(facts), fail(message)} to go on with. */
export function show(message) {
  const log = $("log");
  $("welcome").hidden = true;
  const words = element("div", { className: "words", textContent: message.text });
  const article = element("article", { className: message.role });
  if (message.pictures?.length) {
    article.append(element("div", { className: "pictures" }, ...figures(message.pictures)));
  }
  if (message.text || message.role === "assistant") article.append(words);
  log.append(article);
  const down = () => (log.scrollTop = log.scrollHeight);
  down();
  const api = {
    busy() {
      article.classList.add("busy");
      return api;
    },
    add(text) {
      const near = log.scrollHeight - log.scrollTop - log.clientHeight < 80; // else somebody reads above
      words.textContent += text;
      if (near) down();
    },
    end(told) {
      article.classList.remove("busy");
      article.append(element("div", { className: "facts", textContent: facts(told) }));
      down();
    },
    fail(text) {
      article.classList.remove("busy");
      article.append(element("div", { className: "wrong", role: "alert", textContent: text }));
      down();
    },
  };
  if (message.facts) api.end(message.facts);
  if (message.wrong) api.fail(message.wrong);
  return api;
}

export function clear() {
  for (const article of document.querySelectorAll("#log article")) article.remove();
  $("welcome").hidden = false;
}

const figures = (pictures) => pictures.map((p, i) => figure(p, `Picture ${i + 1}`, pictures.length));

/** The pictures of the next message, each with a button to take it away. */
export function shelf(pictures, remove) {
  const shown = figures(pictures);
  shown.forEach((figure, i) => {
    const button = element("button", { type: "button", textContent: "×", onclick: () => remove(i) });
    figure.firstChild.append(Object.assign(button, { ariaLabel: `Remove picture ${i + 1}` }));
  });
  $("shelf").replaceChildren(...shown);
}

/** Earlier chats. */
export function chats(list, now, open, drop) {
  $("chats").replaceChildren(
    ...list.map((chat) =>
      element("div", { className: chat.id === now ? "now" : "" },
        element("button", { className: "open", type: "button", textContent: chat.title, onclick: () => open(chat) }),
        Object.assign(element("button", { className: "drop", type: "button", textContent: "×", onclick: () => drop(chat) }), {
          ariaLabel: `Delete ${chat.title}`,
        }),
      ),
    ),
  );
}
