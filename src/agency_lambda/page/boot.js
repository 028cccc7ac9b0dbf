// A classic script, before all modules: where one of the page's files could not be loaded, as when a function is asked
// for more at once than the account allows, the page is loaded again. What has come is kept, so that less is asked for.
(() => {
  const STORED = "agency-lambda.loads";
  const TRIES = 5;
  const PAUSE = 500; // ms, doubled each time
  const WORDS = {
    de: "Diese Seite konnte nicht geladen werden. Bitte laden Sie sie neu.",
    en: "This page could not be loaded. Please load it again.",
    zh: "页面无法加载，请重新加载。",
  };
  // A browser that keeps nothing would load it again without end.
  const kept = (use) => {
    try {
      return use(sessionStorage);
    } catch {
      return TRIES;
    }
  };
  const tries = Number(kept((storage) => storage.getItem(STORED)));
  let isIncomplete = false;

  function failed({ target }) {
    if (isIncomplete || !(target instanceof HTMLScriptElement || target instanceof HTMLLinkElement)) return;
    isIncomplete = true;
    if (tries < TRIES) {
      kept((storage) => storage.setItem(STORED, tries + 1));
      setTimeout(() => location.reload(), PAUSE * 2 ** tries);
    } else addEventListener("load", giveUp);
  }

  function giveUp() {
    kept((storage) => storage.removeItem(STORED));
    const page = document.getElementById("page");
    if (!page.hasChildNodes()) page.textContent = WORDS[navigator.language.slice(0, 2)] ?? WORDS.en;
  }

  addEventListener("error", failed, true);
  addEventListener("load", () => isIncomplete || kept((storage) => storage.removeItem(STORED)));
})();
