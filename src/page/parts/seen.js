// What is asked about a line of a list only when the line is seen: two at a time, once.
import { onSession } from "../session.js";
import { useEffect, useRef, useState } from "../preact.js";

const AT_ONCE = 2;
const known = new Map();
const waiting = [];
let asking = 0;
onSession(() => known.clear()); // what is known belongs to the owner of before

function next() {
  if (asking >= AT_ONCE || !waiting.length) return;
  const { load, resolve, reject } = waiting.pop(); // the one that was seen last
  asking += 1;
  load().then(resolve, reject).finally(() => {
    asking -= 1;
    next();
  });
}

/** Return [a ref for the element, what was asked, or undefined]. Nothing is asked where the key is null. */
export function useSeen(key, load) {
  const place = useRef(null);
  const [value, setValue] = useState(known.get(key));
  useEffect(() => {
    setValue(known.get(key));
    if (!key || known.has(key)) return;
    const observer = new IntersectionObserver(([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      observer.disconnect();
      const asked = known.has(key) ? Promise.resolve(known.get(key)) : new Promise((resolve, reject) => waiting.push({ load, resolve, reject }));
      next();
      asked.then((found) => {
        known.set(key, found);
        setValue(found);
      }, () => {});
    });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [key]);
  return [place, value];
}
