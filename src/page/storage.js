// What this browser keeps for the page. It may keep nothing at all, or nothing more: then it is as if nothing was there.

const keeper = (open) => {
  const tried = (use) => {
    try {
      return use(open());
    } catch {
      return null;
    }
  };
  return {
    get: (name) => tried((storage) => storage.getItem(name)),
    /** An empty value is forgotten. */
    set: (name, value) => tried((storage) => (value ? storage.setItem(name, value) : storage.removeItem(name))),
  };
};

/** For as long as the tab is open. */
export const tabStorage = keeper(() => sessionStorage);
/** Until somebody forgets it. */
export const browserStorage = keeper(() => localStorage);
