// The title of the page: how much waits, what the view shows, and its section.
import { useEffect } from "../preact.js";

const parts = {}; // waiting, detail, section

/** Set parts of the title, for as long as the component is there. */
export function useTitle(given) {
  useEffect(() => {
    write(given);
    return () => write(Object.fromEntries(Object.keys(given).map((name) => [name, null])));
  }, Object.values(given));
}

function write(given) {
  const { waiting, detail, section } = Object.assign(parts, given);
  document.title = `${waiting ? `(${waiting}) ` : ""}${[detail, section, "agency-lambda"].filter(Boolean).join(" · ")}`;
}
