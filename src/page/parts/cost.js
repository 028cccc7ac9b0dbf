// What a run has cost, of its trace, as lists do not say it: asked when it is seen, two at a time, once.
import * as api from "../api.js";
import { money } from "../format.js";
import { html, useEffect, useRef, useState } from "../preact.js";

const AT_ONCE = 2;
const known = new Map(); // id -> USD of runs that have ended
const waiting = [];
let asking = 0;

function usdOf(runId) {
  return new Promise((resolve, reject) => {
    waiting.push({ runId, resolve, reject });
    next();
  });
}

function next() {
  if (asking >= AT_ONCE || !waiting.length) return;
  const { runId, resolve, reject } = waiting.pop(); // the one that was seen last
  asking += 1;
  api
    .trace(runId)
    .then(({ usd }) => resolve(usd), reject)
    .finally(() => {
      asking -= 1;
      next();
    });
}

/** The price of one's own run that has ended; nothing before. */
export function Cost({ run }) {
  const place = useRef(null);
  const [usd, setUsd] = useState(known.get(run.id));
  useEffect(() => {
    if (!run.ended_at || known.has(run.id)) return;
    const observer = new IntersectionObserver(([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      observer.disconnect();
      usdOf(run.id).then((found) => {
        known.set(run.id, found);
        setUsd(found);
      }, () => {});
    });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [run.id, run.ended_at]);
  return html`<span ref=${place}>${usd === undefined ? "" : money(usd)}</span>`;
}
