// Files: what a user has sent, and what agents have made.
import * as api from "../api.js";
import { Problem, useLoaded } from "./load.js";
import { html, useEffect, useState } from "../preact.js";
import { t } from "../words.js";

const PICTURE = /\.(png|jpe?g|gif|webp)$/i;
const DATA = /^data:image\/(png|jpeg|gif|webp);base64,/i;

/** The files of a question's parts. */
export function SentFiles({ parts }) {
  const files = parts.filter((part) => part.type === "input_image" || part.type === "input_file");
  return files.length ? html`<ul class="files">${files.map((part) => html`<li><${Sent} part=${part} /></li>`)}</ul>` : null;
}

function Sent({ part }) {
  const url = part._url ?? (DATA.test(part.image_url) ? part.image_url : null);
  if (url) return html`<img class="thumb" src=${url} alt=${part._name ?? t("chat.image")} />`;
  if (part.file_id && part.type === "input_image") return html`<${Picture} id=${part.file_id} name=${t("chat.image")} />`;
  if (part.file_id) return html`<${Named} id=${part.file_id} name=${part._name ?? part.filename} />`;
  return html`<span class="file-chip"><bdi>${part.filename ?? part.image_url ?? part.file_url ?? t("chat.file")}</bdi></span>`;
}

function Named({ id, name }) {
  const known = useLoaded(async () => (name ? { filename: name } : api.file(id)), [id]);
  return html`<${Download} id=${id} name=${known.value?.filename ?? t("chat.file")} />`;
}

/** The files that an answer cites. */
export function MadeFiles({ parts }) {
  const cited = parts.flatMap((part) => part.annotations ?? []).filter((each) => each.file_id);
  const files = [...new Map(cited.map((each) => [each.file_id, each])).values()];
  if (!files.length) return null;
  return html`<ul class="files">
    ${files.map(({ file_id: id, filename: name }) => {
      const Shown = PICTURE.test(name) ? Picture : Download;
      return html`<li key=${id}><${Shown} id=${id} name=${name || t("chat.file")} /></li>`;
    })}
  </ul>`;
}

/** An image of the caller's files, which needs the key, so it is loaded here. */
function Picture({ id, name }) {
  const loaded = useLoaded(() => api.fileContent(id), [id]);
  const [url, setUrl] = useState(null);
  useEffect(() => {
    if (!loaded.value || !loaded.value.type.match(/^image\/(png|jpeg|gif|webp)/)) return;
    const made = URL.createObjectURL(loaded.value);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [loaded.value]);
  if (loaded.error) return html`<${Download} id=${id} name=${name} />`;
  return url ? html`<img class="thumb" src=${url} alt=${name} />` : html`<span class="thumb"></span>`;
}

function Download({ id, name }) {
  const [error, setError] = useState(null);
  const download = async () => {
    try {
      save(await api.fileContent(id), name);
      setError(null);
    } catch (failure) {
      setError(failure);
    }
  };
  if (error) return html`<${Problem} error=${error} again=${download} />`;
  return html`<button class="file-chip" title=${t("chat.download")} onClick=${download}>
    <span aria-hidden="true">↓</span><bdi>${name}</bdi>
  </button>`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
