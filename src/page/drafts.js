// What was typed and not sent, over a sign-in that leaves the page.
import { tabStorage } from "./storage.js";

const STORED = "drafts";
const FIELDS = "textarea, input[type=text], input[type=search], input:not([type])";
const WAITS = 10_000; // ms for the view to be there again

const label = (field) => field.name || field.id || field.getAttribute("aria-label") || field.placeholder;
const fields = () => [...document.querySelectorAll(FIELDS)].filter((field) => label(field));

/** Keep what is in the page's fields for the time that it is away. */
export function keepDrafts() {
  const found = fields().filter((field) => field.value && !field.closest(".sign-in"));
  const drafts = found.map((field) => [label(field), field.value]);
  if (drafts.length) tabStorage.set(STORED, JSON.stringify(drafts));
}

/** Put it back into the fields of the same names, as soon as they are there and empty. */
export function restoreDrafts() {
  let drafts = JSON.parse(tabStorage.get(STORED)) ?? [];
  tabStorage.set(STORED, "");
  if (!drafts.length) return;
  const observer = new MutationObserver(fill);
  const stop = () => observer.disconnect();
  observer.observe(document.body, { childList: true, subtree: true });
  setTimeout(stop, WAITS);
  fill();

  function fill() {
    const empty = fields().filter((field) => !field.value);
    drafts = drafts.filter(([name, value]) => {
      const field = empty.find((each) => label(each) === name);
      if (!field) return true;
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      return false;
    });
    if (!drafts.length) stop();
  }
}
