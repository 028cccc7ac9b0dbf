// The official Node client: files of a caller, whole and in parts.
import assert from "node:assert/strict";
import { toFile } from "openai";
import { client, MODEL } from "./client.mjs";

const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0xff]);
const file = await client.files.create({
  file: await toFile(png, "ä.png"),
  purpose: "vision",
  expires_after: { anchor: "created_at", seconds: 3600 },
});
assert.equal(file.filename, "ä.png");
assert.equal(file.expires_at, file.created_at + 3600);
assert.equal((await client.files.retrieve(file.id)).bytes, png.length);
const content = await client.files.content(file.id);
assert.equal(content.headers.get("content-type"), "image/png");
assert.deepEqual(new Uint8Array(await content.arrayBuffer()), png);

const listed = [];
for await (const each of client.files.list({ limit: 1, purpose: "vision" })) listed.push(each.id);
assert.ok(listed.includes(file.id));

const response = await client.responses.create({
  model: MODEL,
  input: [{ role: "user", content: [{ type: "input_image", file_id: file.id, detail: "auto" }, { type: "input_text", text: "What is it?" }] }],
});
assert.equal(response.status, "completed");

const upload = await client.uploads.create({ bytes: 6, filename: "a.txt", mime_type: "text/plain", purpose: "user_data" });
const parts = [];
for (const text of ["abc", "def"]) {
  parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from(text), "part") })).id);
}
const done = await client.uploads.complete(upload.id, { part_ids: parts });
assert.equal(await (await client.files.content(done.file.id)).text(), "abcdef");

assert.ok((await client.files.delete(file.id)).deleted);
await assert.rejects(client.files.retrieve(file.id), { status: 404 });
