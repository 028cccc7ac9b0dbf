// What this browser keeps for the page. It may keep nothing at all, or nothing more: then it is as if nothing was there.

// Of this address alone: another service may be below the same origin.
const PREFIX = `agency-lambda ${location.pathname} `;

const keeper = (open) => {
  const tried = (use) => {
    try {
      return use(open());
    } catch {
      return null;
    }
  };
  return {
    nameOf: (name) => PREFIX + name,
    get: (name) => tried((storage) => storage.getItem(PREFIX + name)),
    /** An empty value is forgotten. */
    set: (name, value) => tried((storage) => (value ? storage.setItem(PREFIX + name, value) : storage.removeItem(PREFIX + name))),
    clear: () =>
      tried((storage) =>
        Object.keys(storage).filter((name) => name.startsWith(PREFIX)).forEach((name) => storage.removeItem(name)),
      ),
  };
};

/** For as long as the tab is open. */
export const tabStorage = keeper(() => sessionStorage);
/** Until somebody forgets it. */
export const browserStorage = keeper(() => localStorage);
