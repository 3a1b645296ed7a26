// The button that trains one more epoch in the kernel, and the line that tells how it went.

function trainer(model, life, say) {
  const button = h("button", { type: "button", class: "train" }), line = h("div", { class: "line", role: "status" });
  let asked = false, late = 0;

  function update() {
    const working = asked || model.get("busy"), held = document.activeElement === button;
    button.disabled = working; // a second click does nothing
    button.textContent = working ? "Training…" : "Train one more epoch";
    button.setAttribute("aria-busy", working);
    if (held && !working) button.focus({ preventScroll: true }); // a disabled button loses it
    line.textContent = model.get("message");
    line.classList.toggle("failed", model.get("failed"));
  }

  button.addEventListener("click", () => {
    asked = true;
    update();
    late = setTimeout(() => say("no answer from the kernel yet: it is busy, or there is none"), 3000);
    try {
      model.send({ do: "train", after: model.get("runs") });
    } catch {
      say("no kernel: training needs one");
    }
  }, { signal: life.signal });
  life.onEnd(() => clearTimeout(late));

  life.observe(model, ["change:busy", "change:message", "change:failed"], () => {
    if (asked) { clearTimeout(late); say(""); } // the kernel is there
    asked = false;
    update();
  });
  update();
  return { button, line };
}
