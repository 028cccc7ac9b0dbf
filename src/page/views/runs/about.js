import * as api from "../../api.js";
import { questionOf, textOf } from "../../items.js";
import { useSeen } from "../../parts/seen.js";
import { html } from "../../preact.js";

const LENGTH = 160; // characters

/** What one's own run is about: the title of its conversation, or the beginning of what it was asked. */
export function About({ run }) {
  const [place, text] = useSeen(run.conversation ?? run.id, () => aboutOf(run));
  return html`<span class="about" ref=${place} title=${text}><bdi>${text ?? ""}</bdi></span>`;
}

async function aboutOf({ id, conversation }) {
  const title = conversation && (await api.conversation(conversation).catch(() => null))?.metadata?.title;
  return title || textOf(questionOf((await api.inputItems(id)).data)).replace(/\s+/g, " ").slice(0, LENGTH);
}
