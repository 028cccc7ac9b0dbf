// Files that go with a question: looked at before they are sent, and stored at once, so that the question is small.
import * as api from "../../api.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
export const LARGEST = 4_194_304; // bytes of one file (docs/files.md)
const ALL = 8_000_000; // bytes of the files of a request
const INLINE = 3_000_000; // bytes of one that is sent within the request, where no files are stored
const SAMPLE = 4096; // bytes by which a text is known

const isImage = (file) => IMAGES.includes(file.type);

/** Return the key of a sentence about what is wrong with a file beside others, or null. */
export async function refusal(file, others) {
  if (file.size > LARGEST) return "chat.fileTooLarge";
  if (others.reduce((sum, each) => sum + each.size, file.size) > ALL) return "chat.filesTooLarge";
  if (isImage(file) || file.type === "application/pdf" || (await isText(file))) return null;
  return "chat.fileKind";
}

async function isText(file) {
  const sample = new Uint8Array(await file.slice(0, SAMPLE).arrayBuffer());
  if (sample.includes(0)) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(sample, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** Return the part of a question that a file is. `_name` and `_url` are the page's own, to show it. */
export async function stored(file) {
  const shown = { _name: file.name, _url: isImage(file) ? URL.createObjectURL(file) : null };
  try {
    const { id } = await api.createFile(file, isImage(file) ? "vision" : "user_data");
    return { type: isImage(file) ? "input_image" : "input_file", file_id: id, ...shown };
  } catch (error) {
    if (error.code !== "files_not_configured" || file.size > INLINE) throw error;
    return { ...(await inline(file)), ...shown };
  }
}

async function inline(file) {
  const url = await new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
  return isImage(file)
    ? { type: "input_image", image_url: url }
    : { type: "input_file", filename: file.name, file_data: url };
}
