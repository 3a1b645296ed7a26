// node formulas.js MATHJAX_FOLDER < [[tex, display], ...]  →  [{svg, width, height, depth, error}, ...], sizes in em
const path = require("path"), fs = require("fs");
const EX = 0.442; // MathJax's ex in its em

require(path.join(process.argv[2], "es5/node-main.js")).init({
  loader: { load: ["input/tex-full", "output/svg"], paths: { mathjax: path.join(process.argv[2], "es5") } },
  tex: { packages: { "[-]": ["noundefined", "require", "autoload"] } }, // an unknown macro is an error, not red text
  svg: { fontCache: "none" }, // every formula stands for itself: no ids that another one could take
}).then((MathJax) => {
  const { adaptor } = MathJax.startup;
  // Indices of indices stay as large as indices: the last row reads them too.
  MathJax._.core.MmlTree.MmlNodes.math.MmlMath.defaults.scriptminsize = "0.7em";
  const formula = ([tex, display]) => {
    const svg = adaptor.firstChild(MathJax.tex2svg(tex, { display })), html = adaptor.outerHTML(svg);
    const size = (text) => Number((EX * parseFloat(text)).toFixed(4));
    const style = adaptor.getAttribute(svg, "style") || "";
    return {
      svg: html,
      width: size(adaptor.getAttribute(svg, "width")),
      height: size(adaptor.getAttribute(svg, "height")),
      depth: size((style.match(/vertical-align: (-?[\d.]+)ex/) || [0, "0"])[1]),
      error: (html.match(/data-mjx-error="([^"]*)"/) || [])[1] ?? null,
    };
  };
  process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, "utf8")).map(formula)));
}).catch((error) => { console.error(error.message); process.exit(1); });
