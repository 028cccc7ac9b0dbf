// Places in the page are behind the #, so that the page works below any path: #/runs/resp_1?status=failed
import { useEffect, useState } from "./preact.js";

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { steps: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(step) {
  try {
    return decodeURIComponent(step);
  } catch {
    return step; // a mistyped address leads to what is not there
  }
}

/** Return what is behind the #: `steps` of the path, decoded, and the `query`. */
export function useRoute() {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const changed = () => setRoute(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

/** Return the href of a place: `place(["runs", id], {status})`. */
export function place(steps, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const asked = new URLSearchParams(given).toString();
  return `#/${steps.map(encodeURIComponent).join("/")}${asked ? `?${asked}` : ""}`;
}

export function go(steps, query, { replace = false } = {}) {
  const href = place(steps, query);
  if (!replace) location.hash = href;
  else {
    history.replaceState(null, "", href);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }
}
