// Parse every document named on the command line with the official parser; tell what it says of each, as JSON.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { cwd, argv, stdout } from "node:process";

const { Parser } = createRequire(`${cwd()}/`)("@asyncapi/parser");
const parser = new Parser();
const judged = {};
for (const path of argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(await readFile(path, "utf8"));
  judged[path] = {
    understood: document !== undefined,
    channels: document === undefined ? [] : document.channels().all().map((one) => one.address()),
    diagnostics: diagnostics.map(({ code, severity, message, path: at }) => ({ code, severity, message, at: at.join("/") })),
  };
}
stdout.write(JSON.stringify(judged));
