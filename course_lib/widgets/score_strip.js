// A table over all datapoints: how far each q stays below log p(x). Its heads are buttons that go to a datapoint.

// scores() gives {yours, network, best}: per datapoint the gap in nats, null where there is none yet or it is hidden
function scoreStrip(count, { go, scores, life }) {
  const ROWS = [["yours", "you"], ["network", "network"], ["best", "best"]];
  const heads = Array.from({ length: count }, (_, b) => {
    const button = h("button", { type: "button", "aria-label": `datapoint ${b + 1}` }, String(b + 1));
    button.addEventListener("click", () => go(b), { signal: life.signal });
    return h("th", { scope: "col" }, button);
  });
  const cells = ROWS.map(() => Array.from({ length: count }, () => h("td", {})));
  const means = ROWS.map(() => h("td", {}));
  const body = ROWS.map(([name, words], r) => h("tr", { class: name },
    h("th", { scope: "row" }, words), means[r], ...cells[r]));
  const words = "Gap log p(x) − ELBO, nats: your best so far, and what you have asked to see";
  const node = h("div", { class: "scores" }, h("div", { class: "caption" }, words), h("table", { "aria-label": words },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "datapoint"), h("th", { scope: "col" }, "mean"), ...heads)),
    h("tbody", {}, ...body)));
  const text = (gap) => (gap < 99.995 ? fixed(gap) : fixed(gap, 0));
  return {
    node,
    place(index) {
      const all = scores();
      ROWS.forEach(([name], r) => {
        const gaps = all[name];
        gaps.forEach((gap, b) => {
          cells[r][b].textContent = gap !== null ? text(gap) : name === "yours" ? "–" : "?";
        });
        const whole = gaps.every((gap) => gap !== null);
        means[r].textContent = whole ? text(gaps.reduce((a, b) => a + b, 0) / count) : "";
      });
      heads.forEach((head, b) => {
        const here = b === index;
        if (here) head.firstChild.setAttribute("aria-current", "true");
        else head.firstChild.removeAttribute("aria-current");
        for (const row of [...cells.map((each) => each[b]), head]) row.classList.toggle("here", here);
      });
    },
  };
}
