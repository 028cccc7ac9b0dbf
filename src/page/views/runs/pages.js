// The pages of runs that are shown: more of them when asked for, and their beginning anew while it is looked at.
import { isUnfinished } from "../../answer.js";
import * as api from "../../api.js";
import { useEffect, useRef, useState } from "../../preact.js";

const PAGE = 25;
const LARGEST = 100; // runs that one request gives
const EMPTY_PAGES = 5; // pages that are passed over, where a filter leaves nothing of them
const BUSY = 4000; // ms between two looks while a run is unfinished
const QUIET = 15_000;
const NOTHING = { runs: null, cursor: null, error: null, isLoading: true };

/** Return {runs, cursor (where "more" goes on), error, isLoading, more, refresh}. `asked`: {query, isAdmin}. */
export function useRuns(asked) {
  const [state, setState] = useState(NOTHING);
  const current = useRef(state);
  const turn = useRef(0);
  current.current = state;
  const change = (mine, part) => mine === turn.current && setState((before) => ({ ...before, ...part(before) }));
  const load = async (join, fetchPages) => {
    const mine = turn.current;
    change(mine, () => ({ isLoading: true }));
    try {
      const page = await fetchPages();
      change(mine, (before) => ({ ...join(before, page), error: null, isLoading: false }));
    } catch (error) {
      change(mine, () => ({ error, isLoading: false }));
    }
  };
  const fetchPages = (query) => pages(asked, query);
  const more = () => load(joinMore, () => fetchPages({ limit: PAGE, after: current.current.cursor }));
  const refresh = () => {
    const shown = current.current.runs?.length ?? 0;
    const limit = Math.min(LARGEST, Math.max(PAGE, shown));
    return load(joinNewest, () => fetchPages({ limit }));
  };
  useEffect(() => {
    turn.current += 1;
    setState(NOTHING);
    load((_, page) => page, () => fetchPages({ limit: PAGE }));
  }, [JSON.stringify(asked)]);
  useRefresh(state, refresh);
  return { ...state, more, refresh };
}

/** Return `{runs, cursor}`, of as many pages as are needed to find something. */
async function pages({ query, isAdmin, since, waits }, { limit, after }) {
  for (let number = 1; ; number += 1) {
    const page = await api.responses({ ...query, created_after: since?.(), limit, after }, isAdmin);
    const cursor = page.has_more ? page.last_id : null;
    const runs = waits ? page.data.filter((run) => run.waits_for === "person") : page.data;
    if (runs.length || !cursor || number === EMPTY_PAGES) return { runs, cursor };
    after = cursor;
  }
}

const joinMore = ({ runs }, page) => {
  const known = new Set(runs.map((run) => run.id));
  return { runs: [...runs, ...page.runs.filter((run) => !known.has(run.id))], cursor: page.cursor };
};

/** The newest runs as they are now, and behind them those that had been loaded. Ids are in the order of time. */
function joinNewest(before, page) {
  if (page.cursor === null || before.runs === null) return page;
  const others = before.runs.filter((run) => run.id < page.cursor);
  return others.length ? { runs: [...page.runs, ...others] } : page;
}

function useRefresh({ runs, isLoading, error }, refresh) {
  const ask = useRef(refresh);
  ask.current = refresh;
  const pause = runs?.some(isUnfinished) && !error ? BUSY : QUIET;
  useEffect(() => {
    if (isLoading) return;
    const look = () => document.visibilityState === "visible" && ask.current();
    const timer = setTimeout(look, pause);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [isLoading, pause, runs]);
}
