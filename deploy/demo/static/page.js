// Sends a picture, or frame after frame of the camera, and shows what comes back.
"use strict";

const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const FRAME_WIDTH = 640; // Of the camera, in pixels: faces are found in less time.

let stream = null;
let asked = 0; // The last question: an answer to an earlier one comes too late.

const server = fetch("model").then((answer) => answer.json());
server.then(({ model }) => {
  at("model").textContent = model;
});

// Whether there was an answer.
async function ask(file) {
  const question = ++asked;
  let answer;
  try {
    const response = await fetch("faces", { method: "POST", body: await fitting(file) });
    answer = await response.json();
  } catch {
    answer = { error: "the page's server does not answer: is `mien demo` still running?" };
  }
  if (question === asked) show(answer);
  return !answer.error;
}

// A picture of more pixels than the server takes is scaled down, and so is upright.
async function fitting(file) {
  const { max_pixels: most } = await server;
  const image = await createImageBitmap(file).catch(() => null);
  const scale = image ? Math.sqrt(most / (image.width * image.height)) : 1;
  return scale < 1 ? drawn(image, image.width * scale, image.height * scale) : file;
}

function drawn(image, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height]; // Rounded down.
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
}

function show(answer) {
  const faces = answer.faces ?? [];
  say("error", answer.error ?? "");
  say("status", answer.error ? "" : faces.map(inWords).join("; ") || "No face found");
  at("faces").replaceChildren(...faces.map(table));
  at("facts").textContent = answer.error ? "" : facts(answer);
  at("boxes").setAttribute("viewBox", `0 0 ${answer.width ?? 1} ${answer.height ?? 1}`);
  at("boxes").replaceChildren(...faces.filter((face) => face.box).flatMap(marks));
}

// Only what is new: a screen reader says it again.
function say(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

const percent = (share) => `${(100 * share).toFixed(0)} %`;
// Of the camera without numbers, which the tables have: a screen reader would never stop.
const inWords = (face, index, all) => {
  if (stream) return face.label;
  return `${all.length > 1 ? `Face ${index + 1}: ` : ""}${face.label}, ${percent(face.score)}`;
};
const facts = ({ version, milliseconds }) =>
  `Version ${version}; ${milliseconds.faces.toFixed(0)} ms to find the faces, ` +
  `${milliseconds.model.toFixed(0)} ms for the answer.`;

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function rectangle(x, y, width, height) {
  const shape = document.createElementNS(SVG, "rect");
  Object.entries({ x, y, width, height }).forEach(([key, value]) => shape.setAttribute(key, value));
  return shape;
}

// Its box and, among several, its number.
function marks(face, index, all) {
  const [left, top, width, height] = face.box;
  const number = document.createElementNS(SVG, "text");
  number.setAttribute("x", left + 0.04 * width);
  number.setAttribute("y", top + 0.24 * height);
  number.setAttribute("font-size", 0.22 * height);
  number.textContent = index + 1;
  return [rectangle(left, top, width, height), ...(all.length > 1 ? [number] : [])];
}

function bar(share) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(rectangle(0, 0, `${100 * share}%`, "100%"));
  return make("div", { class: "bar" }, drawing);
}

function table(face, index, all) {
  const rows = Object.entries(face.probabilities).map(([label, share]) =>
    make("tr", label === face.label ? { class: "best" } : {},
      make("th", { scope: "row" }, label), make("td", {}, bar(share)), make("td", {}, percent(share))));
  const title = all.length > 1 ? `Face ${index + 1} from the left` : "The face";
  return make("table", {}, make("caption", {}, face.box ? title : "The picture"),
    make("tbody", {}, ...rows));
}

function look(file) {
  stopCamera();
  URL.revokeObjectURL(at("picture").src);
  at("picture").src = URL.createObjectURL(file);
  reveal("picture");
  say("error", "");
  say("status", "Looking…");
  ask(file);
}

function reveal(id) {
  at("hint").hidden = true;
  at("view").hidden = false;
  at("picture").hidden = id !== "picture";
  at("video").hidden = id !== "video";
  at("boxes").replaceChildren();
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    const lenders = "browsers lend the camera only to pages on localhost or by https";
    show({ error: `${lenders}: open this one so, or drop a picture on it` });
    return;
  }
  const mine = (stream = new MediaStream()); // Until it is there: a second click stops it.
  at("camera").setAttribute("aria-pressed", "true");
  at("camera").textContent = "Stop the camera";
  try {
    const camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    camera.getTracks().forEach((track) => (stream === mine ? mine.addTrack(track) : track.stop()));
    if (stream !== mine) return;
    at("video").srcObject = mine;
    await at("video").play();
  } catch (error) {
    if (stream !== mine) return;
    stopCamera();
    show({ error: `the camera cannot be used: ${error.message}` });
    return;
  }
  if (stream === mine) reveal("video");
  while (stream === mine) {
    const picture = await frame();
    if (stream === mine && !(await ask(picture))) await pause(1000);
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  asked += 1; // What it is still asked comes too late.
  at("camera").setAttribute("aria-pressed", "false");
  at("camera").textContent = "Use the camera";
}

function frame() {
  const { videoWidth, videoHeight } = at("video");
  const width = Math.min(FRAME_WIDTH, videoWidth);
  return drawn(at("video"), width, Math.round((videoHeight * width) / videoWidth));
}

at("file").addEventListener("change", ({ target }) => target.files[0] && look(target.files[0]));
at("camera").addEventListener("click", () => (stream ? stopCamera() : startCamera()));
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  at("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) look(event.dataTransfer.files[0]);
  });
}
