// Starts reveal.js: one slide after the other with any of its keys, a column for each section in the overview (O).
Reveal.initialize({
  width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4,
  center: false, controls: false, progress: true, slideNumber: "c/t",
  hash: true, navigationMode: "linear", transition: "none", pdfSeparateFragments: false,
  plugins: [RevealNotes],
});

// A widget is drawn as large as its slide allows; at least so that its 14 px are 20, and what is too tall then scrolls.
const SMALLEST = 20 / 14;

function enlarge(widget) {
  const body = widget.closest(".body"), room = [body.clientWidth, body.clientHeight];
  if (!room[0]) return; // on another slide
  widget.style.zoom = 1;
  widget.style.maxHeight = widget.style.maxWidth = "none";
  const zoom = Math.max(SMALLEST, Math.min(1.8, room[0] / widget.offsetWidth, room[1] / widget.offsetHeight));
  widget.style.zoom = zoom;
  widget.style.maxWidth = `${room[0] / zoom}px`;
  widget.style.maxHeight = `${room[1] / zoom}px`;
}

const enlargeAll = () => Reveal.getCurrentSlide()?.querySelectorAll(".widget.live").forEach(enlarge);
Reveal.on("ready", enlargeAll);
Reveal.on("slidechanged", enlargeAll);
document.addEventListener("widget", enlargeAll);
