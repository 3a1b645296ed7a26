// Starts reveal.js: one slide after the other with any of its keys, a column for each section in the overview (O).
Reveal.initialize({
  width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4,
  center: false, controls: false, progress: true, slideNumber: "c/t",
  hash: true, navigationMode: "linear", transition: "none", pdfSeparateFragments: false,
  defaultTiming: 60, // has the speaker's view show each slide's data-timing running down
  plugins: [RevealNotes],
});

// Widgets are made for a page: enlarged, so that their 14 px are 20, in the width that is there; what is too tall scrolls.
const ZOOM = 20 / 14;

function enlarge(widget) {
  const { clientWidth, clientHeight } = widget.closest(".frame > .body");
  if (!clientWidth) return; // on another slide
  Object.assign(widget.style, { zoom: ZOOM, width: `${clientWidth / ZOOM}px`, maxHeight: `${clientHeight / ZOOM}px` });
}

const enlargeAll = () => Reveal.getCurrentSlide()?.querySelectorAll(".widget.live").forEach(enlarge);
Reveal.on("ready", enlargeAll);
Reveal.on("slidechanged", enlargeAll);
document.addEventListener("widget", enlargeAll);

// Keys that a widget may want are not reveal.js's while it has the focus; those of a clicker are.
for (const widget of document.querySelectorAll(".widget"))
  widget.addEventListener("keydown", (event) => { if (!/^(Page.*|Escape)$/.test(event.key)) event.stopPropagation(); });
