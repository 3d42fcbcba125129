// The search tab: what an index holds, found by words or by a picture.
import * as api from "./api.js";
import * as media from "./media.js";
import { element } from "./element.js";

const $ = (id) => document.getElementById(id);
const LIMIT = 24;
let running = null;

/** Shows the tabs where the server has an index and wires them up; `canAnswer`: a chat model is there. */
export async function begin(canAnswer) {
  const items = await api.indexed();
  $("tabs").hidden = items === 0;
  if (items === 0) return;
  $("query").placeholder = `Search ${items.toLocaleString()} pictures, pages and passages`;
  $("tell").parentElement.hidden = !canAnswer;
  $("tab-chat").onclick = () => choose("chat");
  $("tab-search").onclick = () => choose("search");
  $("find").onsubmit = (event) => {
    event.preventDefault();
    if ($("query").value.trim()) look({ query: $("query").value.trim(), answer: $("tell").checked });
  };
  $("like").onclick = () => $("example").click();
  $("example").onchange = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    try {
      const { url } = await media.picture(file);
      await look({ image: { url } });
    } catch (error) {
      tell(`${file.name}: ${error.message}`, true);
    }
  };
}

function choose(tab) {
  const searching = tab === "search";
  $("finder").hidden = !searching;
  $("log").hidden = $("composer").hidden = searching;
  $("tab-search").ariaSelected = String(searching);
  $("tab-chat").ariaSelected = String(!searching);
  $(searching ? "query" : "words").focus();
}

async function look(request) {
  running?.abort();
  const control = (running = new AbortController());
  tell("Searching…");
  try {
    const { data, answer } = await api.search({ limit: LIMIT, ...request }, control.signal);
    $("hits").replaceChildren(...data.map(card));
    if (answer) {
      const sources = answer.citations.map((source) => source.name).join(" · ");
      tell(answer.text, false, sources);
    } else {
      tell(data.length === 0 ? "Nothing found." : "");
    }
  } catch (error) {
    if (!control.signal.aborted) tell(error.message, true);
  }
}

function tell(words, wrong = false, sources = "") {
  const said = element("p", { className: wrong ? "wrong" : "answer", textContent: words });
  $("told").replaceChildren(...(words ? [said] : []));
  if (sources) $("told").append(element("p", { className: "note", textContent: sources }));
}

function card(hit) {
  const look = hit.thumbnail ? [element("img", { src: hit.thumbnail, alt: hit.caption || hit.title, loading: "lazy" })] : [];
  const file = hit.name.split("/").pop();
  const words = hit.caption || hit.text;
  return element("li", {},
    ...look,
    element("div", { className: "about" },
      element("strong", { textContent: file, title: hit.name }),
      element("span", { className: "note", textContent: hit.kind }),
      ...(words ? [element("p", { textContent: words })] : []),
    ),
  );
}
