// Parses each chart in the Markdown files that are given, with Mermaid's own parser; MODULES is a folder node_modules.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.MODULES}/`);
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const mermaid = (await import(pathToFileURL(require.resolve("mermaid")))).default;
mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });
for (const path of process.argv.slice(2)) {
  const chart = /^```mermaid\n([^]*?)^```$/m.exec(readFileSync(path, "utf8"))[1];
  await mermaid.parse(chart);
  const diagram = await mermaid.mermaidAPI.getDiagramFromText(chart);
  const edges = diagram.db.getEdges();
  console.log(JSON.stringify({
    path, type: diagram.type, rows: [...diagram.db.getVertices().keys()],
    texts: [...diagram.db.getVertices().values()].map((one) => one.text),
    edges: edges.map((edge) => [edge.start, edge.end, edge.stroke, edge.text ?? ""]),
  }));
}
