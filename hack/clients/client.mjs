// Calls a tool, waits for a line on standard input, and calls it again in the
// session that it has. Prints one line of JSON for each call.
//   node client.mjs sdk|client|mcp-remote URL TOKEN
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const [kind, url, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const info = { name: "clients", version: "1" };

async function open() {
  if (kind === "client") {
    const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
    const client = new Client(info);
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    return client;
  }
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const client = new Client(info);
  if (kind === "sdk") {
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
    return client;
  }
  // mcp-remote is a program that speaks MCP on its standard input and output.
  const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  const require = createRequire(import.meta.url);
  const program = join(dirname(require.resolve("mcp-remote/package.json")), "dist", "proxy.js");
  await client.connect(new StdioClientTransport({
    command: process.execPath, stderr: "inherit",
    args: [program, url, "--allow-http", "--transport", "http-only", "--header", `Authorization:Bearer ${token}`],
  }));
  return client;
}

async function call(client) {
  const list = await client.listTools();
  const code = 'me = await call_boto3(service_name="sts", operation_name="GetCallerIdentity")\nme["Arn"]';
  const result = await client.callTool({ name: "aws___run_script", arguments: { code } });
  let denied = "";
  try {
    await client.callTool({ name: "aws___get_presigned_url", arguments: { requests: [] } });
  } catch (error) {
    denied = `${error.code} ${error.message}`;
  }
  console.log(JSON.stringify({ tools: list.tools.map((t) => t.name), text: result.content[0].text, denied }));
}

const client = await open();
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
await call(client);
await lines.next();
await call(client);
process.exit(0);
