import { useEffect, useState } from "../preact.js";

/** Return the time now in seconds, anew every so many milliseconds while the page is seen and `isLive`. */
export function useNow(isLive, every) {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    if (!isLive) return;
    const timer = setInterval(() => document.visibilityState === "visible" && setNow(Date.now() / 1000), every);
    return () => clearInterval(timer);
  }, [isLive]);
  return now;
}
