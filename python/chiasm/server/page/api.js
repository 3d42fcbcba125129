// The server's API, as the page needs it.

async function failure(response) {
  let message = `the server answers with status ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch { /* no JSON: the status has to do */ }
  return new Error(message);
}

/** The models that are served: [{id, role, sees, ...}]. */
export async function models() {
  const response = await fetch("/v1/models");
  if (!response.ok) throw await failure(response);
  return (await response.json()).data;
}

/** How many items can be searched; 0 where the server has no index. */
export async function indexed() {
  const response = await fetch("/v1/search");
  return response.ok ? (await response.json()).items : 0;
}

/** What fits `query`, `image` or both: {data: [{name, kind, text, caption, thumbnail, ...}], answer}. */
export async function search(request, signal) {
  const response = await fetch("/v1/search", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
    signal,
  });
  if (!response.ok) throw await failure(response);
  return response.json();
}

/** The tiles that a model sees of one of `pictures`: {width, height, caption, tiles, grid}. */
export async function tiles(model, url, pictures) {
  const response = await fetch("/v1/tiles", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, image: { url }, pictures }),
  });
  if (!response.ok) throw await failure(response);
  return response.json();
}

/** The text of a sound. */
export async function transcribe(model, sound, name) {
  const form = new FormData();
  form.append("model", model);
  form.append("file", sound, name);
  const response = await fetch("/v1/audio/transcriptions", { method: "POST", body: form });
  if (!response.ok) throw await failure(response);
  return (await response.json()).text;
}

/** Streams an answer. `onText` hears each piece; resolves to {usage, timings, finish}. */
export async function answer(request, signal, onText) {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok) throw await failure(response);
  const facts = { finish: null, usage: null, timings: null };
  for await (const data of events(response.body)) {
    if (data.error) throw new Error(data.error.message);
    for (const choice of data.choices) {
      if (choice.delta.content) onText(choice.delta.content);
      facts.finish = choice.finish_reason ?? facts.finish;
    }
    if (data.usage) Object.assign(facts, { usage: data.usage, timings: data.timings });
  }
  return facts;
}

/** The data of server-sent events, parsed. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}
