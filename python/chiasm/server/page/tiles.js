// The tiles that the model sees, drawn over its pictures.
import * as api from "./api.js";
import { element } from "./element.js";

const SVG = "http://www.w3.org/2000/svg";
const known = new Map(); // of each picture and number of pictures, what the server says
let model = null; // none: nothing is asked

/** A picture with room for its tiles; `pictures`: how many stand in its message. */
export function figure(picture, name, pictures) {
  const image = element("img", { src: picture.kept ?? picture.url, alt: name });
  const frame = element("div", { className: "frame" }, image);
  const caption = element("figcaption");
  const out = element("figure", { className: "seen" }, frame, caption);
  out.tell = () => fill(out, frame, caption, picture, name, pictures);
  out.tell();
  return out;
}

/** Whether tiles are shown from now on, and by which model. */
export function show(on, id) {
  model = on ? id : null;
  document.body.classList.toggle("tiled", on);
  for (const shown of document.querySelectorAll("figure.seen")) shown.tell();
}

async function fill(out, frame, caption, picture, name, pictures) {
  if (model === null || out.dataset.tiles) return;
  out.dataset.tiles = "asked";
  const key = `${pictures} ${picture.url}`;
  if (!known.has(key)) known.set(key, api.tiles(model, picture.url, pictures));
  try {
    const seen = await known.get(key);
    frame.append(drawing(seen, name));
    caption.textContent = seen.caption;
  } catch (error) {
    known.delete(key);
    caption.textContent = error.message;
  }
}

/** Boxes in the picture's own pixels, stretched with it. */
function drawing(seen, name) {
  const node = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const svg = node("svg", {
    viewBox: `0 0 ${seen.width} ${seen.height}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${name} as the model sees it: ${seen.caption}`,
  });
  const { x, y } = seen.grid;
  const line = (x1, y1, x2, y2) => svg.append(node("line", { x1, y1, x2, y2 }));
  for (const at of x.slice(1, -1)) line(at, y[0], at, y.at(-1));
  for (const at of y.slice(1, -1)) line(x[0], at, x.at(-1), at);
  for (const kind of ["edge", "box"]) {
    for (const tile of seen.tiles) {
      const { left, top, right, bottom } = tile;
      const box = node("rect", { class: kind, x: left, y: top, width: right - left, height: bottom - top });
      const title = node("title", {});
      title.textContent = `${tile.overview ? "Overview" : "Tile"}: ${tile.tokens} tokens of ${tile.width} x ${tile.height} pixels`;
      box.append(title);
      svg.append(box);
    }
  }
  return svg;
}
